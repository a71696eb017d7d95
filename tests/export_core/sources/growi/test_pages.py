from __future__ import annotations

import itertools

import pytest

from export_core.errors import NotFound, UsageError
from export_core.sources.growi.demo_wiki import HURTING_NAMES, Wiki, demo_store, demo_wiki
from export_core.sources.growi.documents import page_record
from export_core.sources.growi.options import Options, options_from
from export_core.sources.growi.pages import LeftOut, is_below, normalise, select, visible
from export_core.sources.growi.records import PageRecord, Viewer
from export_core.sources.growi.snapshot import freeze

ALICE = Viewer("alice", frozenset({"inside", "outside"}))


def paths(root: str, **options) -> list[str]:
    store = demo_store()
    chosen = Options(**options)
    viewer = store.viewer(chosen.as_user) if chosen.as_user else None
    return [page.path for page in select(store.pages("/"), root, chosen, viewer).pages]


@pytest.mark.parametrize(
    ("grant", "seen"),
    # the table of grants in the facts: value, and what a user in everything, and one in nothing, see
    [(None, (True, True)), (1, (True, True)), (2, (False, False)), (3, (True, False)), (4, (True, False))],
)
def test_grants(grant, seen):
    page = PageRecord("1", "/p", "r", grant=grant, users=("alice",))
    assert (visible(page, ALICE), visible(page, Viewer("bob", frozenset()))) == seen


@pytest.mark.parametrize("group", ["inside", "outside"])
def test_group_grants(group):
    page = PageRecord("1", "/p", "r", grant=5, groups=("another", group), users=("bob",))
    assert visible(page, ALICE)
    assert not visible(page, Viewer("bob", frozenset({"elsewhere"})))


def test_as_user():
    assert paths("/Rights", as_user="alice") == [
        "/Rights",
        "/Rights/External",
        "/Rights/Group",
        "/Rights/Owner",
        "/Rights/Specified",
    ]
    assert paths("/Rights", as_user="bob") == ["/Rights"]
    assert paths("/Rights", as_user="admin") == ["/Rights"]  # an administrator gets no more than any user
    assert len(paths("/Rights")) == 6


def test_as_user_takes_an_id():
    user = next(u["_id"] for u in demo_wiki().collections["users"] if u["username"] == "alice")
    assert paths("/Rights", as_user=user) == paths("/Rights", as_user="alice")
    with pytest.raises(UsageError, match="nobody"):
        paths("/Rights", as_user="nobody")


def test_the_page_and_all_below_it():
    assert paths("/Sandbox") == ["/Sandbox", "/Sandbox/Diagrams", "/Sandbox/Math"]
    assert set(HURTING_NAMES) <= set(paths("/"))
    assert "/Names" not in paths("/")  # an empty page


def test_trash_and_drafts():
    assert not {"/Drafts/Plan", "/trash/Sandbox/Gone"} & set(paths("/"))
    assert {"/Drafts/Plan", "/trash/Sandbox/Gone"} <= set(paths("/", include_drafts=True, include_trash=True))
    assert paths("/trash") == ["/trash/Sandbox/Gone"]
    assert paths("/Sandbox", include_trash=True)[-1] == "/trash/Sandbox/Gone"


def test_what_is_left_out_is_counted():
    selected = select(demo_store().pages("/"), "/", Options(as_user="bob"), Viewer("bob", frozenset()))
    assert selected.left_out == {
        LeftOut.EMPTY: 1,
        LeftOut.TRASH: 1,
        LeftOut.DRAFT: 1,
        LeftOut.HIDDEN: 5,
    }


@pytest.mark.parametrize("given", ["Sandbox", "/Sandbox", "/Sandbox/", "//Sandbox//"])
def test_normalise(given):
    assert normalise(given) == "/Sandbox"
    assert normalise("/") == normalise("") == "/"
    assert not is_below("/Sandboxes", "/Sandbox")


def test_old_group_grant_and_populated_references():
    page = page_record(
        {
            "_id": 1,
            "path": "/p",
            "grant": 5,
            "grantedGroup": "g",
            "revision": {"_id": "r"},
            "creator": {"_id": "u"},
        }
    )
    assert (page.groups, page.revision, page.author) == (("g",), "r", "u")


@pytest.mark.parametrize(("root", "text"), [("/nowhere", "no page /nowhere"), ("/Names/Nothing", "no page")])
def test_unknown_pages(root, text):
    with pytest.raises(NotFound, match=text):
        freeze(demo_store(), root, Options())


def test_nothing_to_see_is_not_found_either():
    wiki = Wiki()
    wiki.page("/a", None)
    wiki.page("/a/b", "x", wip=True)
    with pytest.raises(NotFound, match="nothing to export at /a: 1 draft, 1 empty"):
        freeze(wiki.store(), "/a", Options())


def test_options_settings_and_what_was_asked_for():
    settings = {"drafts": True, "front_matter": "yes", "url": "x"}
    assert options_from(settings, {"include_drafts": False, "as_user": "a", "pause": 1}) == Options(
        as_user="a", include_drafts=False, front_matter=True
    )
    with pytest.raises(UsageError, match="front_matter is yes or no"):
        options_from({"front_matter": "perhaps"}, {})


def test_pages_listed_in_any_order_freeze_the_same():
    fingerprints = set()
    for order in itertools.islice(itertools.permutations(range(3)), 6):
        wiki = Wiki()
        for path in ("/a", "/b", "/c"):
            wiki.page(path, path)
        wiki.collections["pages"] = [wiki.collections["pages"][n] for n in order]
        snapshot = freeze(wiki.store(), "/", Options())
        fingerprints.add((snapshot.details["fingerprint"], snapshot.token))
    assert len(fingerprints) == 1


def test_the_fingerprint_sees_renames_texts_options_and_attachments():
    def print_of(change=lambda wiki, page: None, **options):
        wiki = Wiki()
        wiki.page("/a", "x")
        change(wiki, wiki.collections["pages"][0])
        return freeze(wiki.store(), "/", Options(**options)).details["fingerprint"]

    found = [
        print_of(),
        print_of(lambda wiki, page: page.update(path="/b")),  # GROWI's own hash does not see this
        print_of(lambda wiki, page: page.update(revision="f" * 24)),
        print_of(lambda wiki, page: wiki.attach(page["_id"], "a.png", b"x")),
        print_of(front_matter=True),
    ]
    assert len(set(found)) == len(found)
    assert print_of() == found[0]
