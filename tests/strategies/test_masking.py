"""Secrets in URLs."""

from __future__ import annotations

import pytest

from strategies.masking import mask_notification_url, mask_url, scrub, secrets_in


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://host/a/b.tar.gz", "https://host/a/b.tar.gz"),
        ("https://host:8443/a?sig=planted&x=1", "https://host:8443/a?***"),
        ("https://user:planted@host/a", "https://***@host/a"),
        ("https://planted@host/a", "https://***@host/a"),
        ("https://us@er:pl@nted@host/a", "https://***@host/a"),
        ("https://host/a#planted", "https://host/a"),
        ("s3://bucket/key/x", "s3://bucket/key/x"),
        ("https://[planted/a?planted", "https://[planted/a"),
        ("https://user:planted@[::1]:8080/a?planted", "https://***@[::1]:8080/a?***"),
        ("https://user:planted@[bad/a?planted", "https://***@[bad/a"),
    ],
)
def test_user_information_query_and_fragment_are_masked(url: str, shown: str) -> None:
    assert mask_url(url) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("slack://planted/planted/planted/#general", "slack://***"),
        (
            "mailto://user:planted@mail.example.com:587/?to=planted@example.com",
            "mailto://mail.example.com/***",
        ),
        ("jsons://planted:planted@hooks.example.com/planted", "jsons://hooks.example.com/***"),
        ("https://discord.com/api/webhooks/planted", "https://discord.com/***"),
        ("planted", "***"),
        ("", "***"),
        ("json://[planted", "json://***"),
    ],
)
def test_a_notification_url_shows_its_scheme_and_at_most_its_host(url: str, shown: str) -> None:
    assert mask_notification_url(url) == shown


def test_what_a_server_echoes_is_scrubbed_as_written_and_decoded() -> None:
    url = "https://user%40x:pa%24sword@host/a?X-Amz-Signature=abc%2Fdef%3D&v=2"
    echoed = (
        "signature abc/def= (abc%2Fdef%3D) of user@x with pa$sword in X-Amz-Signature=abc%2Fdef%3D&v=2, v=2"
    )
    clean = scrub(echoed, secrets_in(url))
    assert clean == "signature *** (***) of *** with *** in ***, v=2"


def test_scrubbing_masks_any_user_information() -> None:
    assert scrub("see https://user:planted@host/x", ()) == "see https://***@host/x"
