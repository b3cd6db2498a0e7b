"""The status page: what is shown, to whom, and that nothing that a device says becomes markup."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from driftc.codegen.elastic.status_page import StatusPage
from driftc.codegen.errors import UsageError

TOKEN = "0123456789abcdef"
KNOWN: dict[str, Any] = {
    "model_id": "00" * 8,
    "devices": [
        {
            "device": "<script>",
            "first": 0.0,
            "last": 1.0,
            "active": 1,
            "highest": 2,
            "reason": 8,
            "uploads": 30,
            "waiting": 6,
            "dropped": {"budget": 3},
        }
    ],
    "dropped": {"topic": 2},
    "rounds": [
        {"number": 1, "group": "all", "state": "open", "began": 1.0, "ended": None, "report": None},
        {
            "number": 2,
            "group": "all",
            "state": "refused",
            "began": 1.0,
            "ended": 2.0,
            "report": {
                "accepted": False,
                "reason": "too & few",
                "uploads": {"count": 5, "before": 50.0, "after": 40.0},
            },
        },
    ],
    "packets": [{"sequence": 3, "group": "all", "round": None, "made": 1.0, "sent": None}],
}


def get(url: str, **headers: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, answer.read().decode()


def test_without_a_token_this_machine_alone_is_served() -> None:
    page = StatusPage("127.0.0.1:0", None, lambda: KNOWN)
    status, text = get(page.url)
    assert status == 200 and "&lt;script&gt;" in text and "<script>" not in text and "too &amp; few" in text
    assert "50.0 → 40.0 %" in text and "budget 3" in text and ">tag<" in text
    status, text = get(page.url + "status.json")
    assert status == 200 and json.loads(text) == KNOWN
    assert get(page.url + "other")[0] == 404
    assert get(page.url, Host="elsewhere.example")[0] == 401  # a name that was made to mean this machine
    page.close()


def test_with_a_token_who_has_it_is_served() -> None:
    page = StatusPage("127.0.0.1:0", TOKEN, lambda: KNOWN)
    assert get(page.url)[0] == 401
    assert get(page.url + "?token=0123456789abcdeX")[0] == 401
    assert get(page.url + f"?token={TOKEN}")[0] == 200
    assert get(page.url + "status.json", Authorization=f"Bearer {TOKEN}")[0] == 200
    assert get(page.url, Authorization="Bearer wrong")[0] == 401
    page.close()


def test_a_database_that_is_away_is_said() -> None:
    def away() -> dict[str, Any]:
        raise OSError("it is away")

    page = StatusPage("127.0.0.1:0", None, away)
    assert get(page.url) == (503, "the database cannot be read: it is away\n")
    page.close()


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "example.org:80"])
def test_beyond_this_machine_a_token_is_needed(address: str) -> None:
    with pytest.raises(UsageError, match="--http-token"):
        StatusPage(address, None, lambda: KNOWN)


def test_other_addresses_and_short_tokens_are_refused() -> None:
    with pytest.raises(UsageError, match="HOST:PORT"):
        StatusPage("127.0.0.1:x", None, lambda: KNOWN)
    with pytest.raises(UsageError, match="16 or more"):
        StatusPage("0.0.0.0:0", "short", lambda: KNOWN)
