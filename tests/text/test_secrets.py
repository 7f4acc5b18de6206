"""Keys are taken out of texts, and nothing else is."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxeng.text.secrets import REDACTED, SHORTEST, Redactor, keys_in

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
KEYS = [
    f"sk-{LETTERS}",
    f"sk-proj-{LETTERS}_{LETTERS}",
    f"sk-ant-api03-{LETTERS}",
    f"ghp_{LETTERS}",
    f"github_pat_{LETTERS}",
    f"glpat-{LETTERS}",
    f"hf_{LETTERS}",
    "xoxb-123456789012-abcdefghij",
    "AKIAABCDEFGHIJKLMNOP",
    f"sk_live_{LETTERS}",
    f"npm_{LETTERS}",
    f"SK{LETTERS[-10:] * 3}ab",
    f"pypi-{LETTERS}",
    f"SG.{LETTERS}.{LETTERS}",
    f"AIza{LETTERS[:35]}",
    f"eyJ{LETTERS}.eyJ{LETTERS}.{LETTERS}",
    f"-----BEGIN RSA PRIVATE KEY-----\n{LETTERS}\n{LETTERS}\n-----END RSA PRIVATE KEY-----",
]
NO_KEYS = [
    "Bearer tokens are sent in a header, as is Bearer authentication.",
    "a task-oriented-dialogue-system-of-2026",
    "risk-assessment-and-management-plan",
    "https://example.com:8080/path@version and user@example.com",
    "The public key begins with -----BEGIN PUBLIC KEY-----",
    "sk-learn",
    "max_tokens=4096, token=get_token2(), token = response2.token, keys[0]",
    "password: str = Field(min_length=8)",
    "The secret: begin early. A token: 12345678. Basic understanding1 is enough",
    "",
]
ASSIGNED = [
    "password={}",
    "db_password: {}",
    '"api_key": "{}"',
    "https://host/x?token={}&page=2",
    "X-Api-Key: {}",
    "aws_secret_access_key = {}",
    "DefaultEndpointsProtocol=https;AccountKey={}",
    "Authorization: Basic {}",
    "authorization: bearer {}",
    "redis://:{}@host:6379/0",
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("around", ["{}", "use {} now", 'key="{}"', "a={},b", "({})\n"])
def test_what_looks_like_a_key_is_taken_out(key, around):
    assert Redactor().redact(around.format(key)) == (around.format(REDACTED), 1)


def test_a_bearer_token_and_a_password_of_a_url_are_taken_out():
    text = "Authorization: Bearer abc.DEF-123456 for https://bob:pass-word@host:8080/x"
    redacted = f"Authorization: Bearer {REDACTED} for https://{REDACTED}@host:8080/x"
    assert Redactor().redact(text) == (redacted, 2)


@pytest.mark.parametrize("form", ASSIGNED)
def test_a_value_behind_a_name_for_a_key_is_taken_out(form):
    """Also where it stands in JSON in a string."""
    for around in ("{}", "see {} there", "({})"):
        text = around.format(form)
        expected = text.replace("{}", REDACTED).replace(f":{REDACTED}@", f"{REDACTED}@")
        assert Redactor().redact(text.replace("{}", "hunter22secret")) == (expected, 1)
        escaped = json.dumps(text).replace("{}", "hunter22secret")
        assert Redactor().redact(escaped) == (json.dumps(expected), 1)


@pytest.mark.parametrize("text", NO_KEYS)
def test_what_is_no_key_stays(text):
    assert Redactor().redact(text) == (text, 0)


def test_no_page_of_ours_holds_a_key():
    """Also a check that prose and code are not taken for keys."""
    root = Path(__file__).parents[2]
    for page in [*root.glob("docs/**/*.md"), *root.glob("ctxeng/**/*.py")]:
        text = page.read_text("utf-8")
        assert Redactor().redact(text) == (text, 0), page


@given(
    key=st.text(min_size=SHORTEST, max_size=30).filter(lambda key: key not in REDACTED),
    before=st.text(max_size=9),
    after=st.text(max_size=9),
)
def test_a_known_value_is_in_no_text_that_was_redacted(key, before, after):
    text, count = Redactor([key]).redact(f"{before}{key}{after}{key}")
    assert key not in text
    assert count >= 2
    written, _ = Redactor([key]).redact(json.dumps([key]))
    assert json.dumps(key)[1:-1] not in written
    assert json.loads(written) == [REDACTED]


def test_a_known_value_that_holds_another_goes_whole():
    assert Redactor(["secret-1", "secret-123"]).redact("secret-123 secret-1") == (
        f"{REDACTED} {REDACTED}",
        2,
    )


def test_keys_are_found_in_the_environment_by_name():
    environment = {
        "OPENAI_API_KEY": "value-of-a-key",
        "db_password": "value-of-a-password",
        "NAMED": "value-that-is-named",
        "SHORT_TOKEN": "1234567",
        "PATH": "/usr/local/bin",
        "KEYBOARD": "pc105-keyboard",
    }
    assert keys_in(environment, ["NAMED", ""]) == {
        "value-of-a-key",
        "value-of-a-password",
        "value-that-is-named",
    }
