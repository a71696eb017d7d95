"""Measurements that are not tests: time, memory and disk, beside other ways of doing it."""
