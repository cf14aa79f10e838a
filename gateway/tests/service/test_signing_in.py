"""Sessions, keys, users: who comes in, what ends it."""

from __future__ import annotations

import hashlib
import json
import re

import httpx
import pytest
from argon2 import extract_parameters

from argus_gateway.identity.passwords import Passwords
from argus_testkit.services import ServiceProcess


def session_of(client: httpx.Client) -> str:
    """The value of the only cookie."""
    [value] = client.cookies.values()
    return value


def test_signing_in_gives_a_cookie_that_scripts_cannot_read_and_a_csrf_token(door):
    client = door.client()
    answer = client.post("/api/auth/login", json={"username": "admin", "password": door.admin["password"]})
    assert answer.status_code == 200
    said = answer.json()
    assert said["username"] == "admin"
    assert said["global_admin"] is True
    assert {"workspace": "main", "role": "admin"} in said["workspaces"]
    cookie = answer.headers["set-cookie"]
    assert re.match(r"argus_session_\d+=", cookie)
    for word in ("HttpOnly", "SameSite=lax", "Path=/"):
        assert word in cookie
    assert "Secure" not in cookie  # plain http on this machine
    me = client.get("/api/auth/me").json()
    assert me["csrf_token"] == said["csrf_token"]
    assert me["key_id"] is None


def test_a_session_token_is_stored_as_its_hash_only(door):
    person = door.administrator()
    token = session_of(person.client)
    assert len(token) >= 22
    stored = [bytes(row[0]) for row in door.sql("SELECT token_sha256 FROM identity.sessions")]
    assert hashlib.sha256(token.encode()).digest() in stored
    assert token.encode() not in b"".join(stored)


def test_every_sign_in_has_a_new_token_and_ends_the_one_before(door):
    person = door.administrator()
    first = session_of(person.client)
    answer = person.client.post("/api/auth/login", json={"username": "admin", "password": door.admin["password"]})
    assert answer.status_code == 200
    assert session_of(person.client) != first
    assert door.client(cookies=dict.fromkeys(person.client.cookies, first)).get("/api/auth/me").status_code == 401


def test_signing_out_ends_the_session_on_the_server(door):
    person = door.administrator()
    names, token = list(person.client.cookies), session_of(person.client)
    assert person.post("/api/auth/logout").status_code == 204
    assert door.client(cookies=dict.fromkeys(names, token)).get("/api/auth/me").status_code == 401


def test_unknown_user_wrong_password_and_disabled_user_look_alike(door):
    person = door.new_person()
    door.client(door.admin["token"]).patch(f"/api/users/{person.name}", json={"disabled": True})
    client = door.client()
    answers = [
        client.post("/api/auth/login", json={"username": name, "password": password})
        for name, password in (("nobody-here", "x" * 12), ("admin", "wrong-password"), (person.name, person.password))
    ]
    assert {answer.status_code for answer in answers} == {401}
    bodies = [{**answer.json(), "request_id": ""} for answer in answers]
    assert bodies[0] == bodies[1] == bodies[2]
    assert bodies[0]["code"] == "wrong_credentials"


async def test_an_unknown_user_costs_as_much_hashing_as_a_wrong_password():
    passwords = Passwords()
    stored = await passwords.hash("right-password")
    assert extract_parameters(passwords.stand_in) == extract_parameters(stored)
    assert await passwords.matches(stored, "right-password")
    assert not await passwords.matches(stored, "wrong-password")
    assert not await passwords.matches(None, "wrong-password")
    passwords.close()


def test_the_eleventh_attempt_within_a_minute_is_429_with_retry_after(door):
    person = door.new_person()
    for _ in range(12):  # those who know their password are not slowed down
        door.sign_in(person.name, person.password)
    client = door.client()
    codes = [
        client.post("/api/auth/login", json={"username": person.name, "password": "wrong-one"}).status_code
        for _ in range(10)
    ]
    assert codes == [401] * 10
    refused = client.post("/api/auth/login", json={"username": person.name.upper(), "password": person.password})
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.json()["code"] == "too_many_requests"


@pytest.mark.parametrize("trusted", [True, False])
def test_behind_a_proxy_everybody_has_an_address_of_their_own_where_the_proxy_is_trusted(door, tmp_path, trusted):
    """Nobody's wrong passwords lock out those who are elsewhere; and nobody makes up an address."""
    person = door.new_person()
    env = {name: said for name, said in door.gateway.whole_env.items() if name != "ARGUS_PORT"}
    env["ARGUS_TRUSTED_PROXIES"] = "127.0.0.0/8, ::1" if trusted else "192.0.2.0/24"
    gateway = ServiceProcess("argus-gateway", env, tmp_path)
    gateway.start()
    try:
        client = door.client()

        def sign_in(password: str, address: str) -> int:
            headers = {"X-Forwarded-For": address}
            said = {"username": person.name, "password": password}
            return client.post(f"{gateway.url}/api/auth/login", json=said, headers=headers).status_code

        assert [sign_in("wrong-one", "203.0.113.1") for _ in range(11)] == [401] * 10 + [429]
        assert sign_in(person.password, "203.0.113.2") == (200 if trusted else 429)
    finally:
        gateway.stop()


def test_an_idle_and_an_old_session_have_ended(door):
    for column, age in (("last_seen_at", "8 hours 1 minute"), ("expires_at", "1 second")):
        person = door.new_person()
        assert person.get("/api/auth/me").status_code == 200
        door.sql(f"UPDATE identity.sessions SET {column} = now() - interval '{age}' WHERE user_name = %s", person.name)
        assert person.get("/api/auth/me").status_code == 401


def test_a_new_password_ends_the_other_sessions_and_the_old_password(door):
    person = door.new_person()
    other = door.sign_in(person.name, person.password)
    wrong = person.patch(f"/api/users/{person.name}", json={"password": "brand-new-password", "current_password": "no"})
    assert wrong.status_code == 403
    right = person.patch(
        f"/api/users/{person.name}", json={"password": "brand-new-password", "current_password": person.password}
    )
    assert right.status_code == 200
    assert person.get("/api/auth/me").status_code == 200
    assert other.get("/api/auth/me").status_code == 401
    client = door.client()
    old = client.post("/api/auth/login", json={"username": person.name, "password": person.password})
    assert old.status_code == 401
    assert door.sign_in(person.name, "brand-new-password")


def test_disabling_a_user_ends_sessions_and_keys_at_once(door):
    person = door.new_person()
    key = door.client(door.key_of(person))
    assert key.get("/api/auth/me").status_code == 200
    administrator = door.client(door.admin["token"])
    assert administrator.patch(f"/api/users/{person.name}", json={"disabled": True}).json()["disabled"] is True
    assert person.get("/api/auth/me").status_code == 401
    assert key.get("/api/auth/me").status_code == 401
    assert administrator.patch(f"/api/users/{person.name}", json={"disabled": False}).status_code == 200
    assert key.get("/api/auth/me").status_code == 200


def test_a_key_is_shown_once_stored_as_a_hash_and_gone_when_revoked(door):
    person = door.new_person()
    made = person.post("/api/keys", json={"name": "laptop"}).json()
    token = made["token"]
    assert re.fullmatch(r"ak_[a-z0-9]{12}_[A-Za-z0-9]{43}", token)
    (row,) = door.sql("SELECT secret_sha256, user_name, workspace FROM identity.api_keys WHERE key_id = %s", made["id"])
    assert (bytes(row[0]), row[1], row[2]) == (hashlib.sha256(token.encode()).digest(), person.name, "main")
    listed = person.get("/api/keys")
    assert [item["id"] for item in listed.json()["items"]] == [made["id"]]
    assert token.rpartition("_")[2] not in listed.text
    key = door.client(token)
    me = key.get("/api/auth/me").json()
    assert (me["username"], me["user"], me["workspace"], me["key_id"]) == (person.name, person.name, "main", made["id"])
    assert me["nats_url"] == door.nats.settings.url
    assert person.delete(f"/api/keys/{made['id']}").status_code == 204
    assert key.get("/api/auth/me").status_code == 401
    assert person.delete(f"/api/keys/{made['id']}").status_code == 404


def test_a_key_of_somebody_else_cannot_be_revoked_and_looks_like_none(door):
    mine, other = door.new_person(), door.new_person()
    key_id = mine.post("/api/keys", json={"name": "mine"}).json()["id"]
    theirs, nobodys = other.delete(f"/api/keys/{key_id}"), other.delete("/api/keys/aaaaaaaaaaaa")
    assert (theirs.status_code, nobodys.status_code) == (404, 404)
    assert theirs.json()["detail"] == nobodys.json()["detail"]
    assert [item["id"] for item in mine.get("/api/keys").json()["items"]] == [key_id]


def test_a_key_of_one_workspace_does_not_act_in_another(door, event):
    workspace = door.new_workspace()
    person = door.new_person(workspace)
    door.client(door.admin["token"]).put(f"/api/workspaces/main/members/{person.name}", json={"role": "member"})
    key = door.client(door.key_of(person, workspace=workspace))
    assert key.post("/api/events", params={"workspace": "main"}, json=event()).status_code == 404
    assert key.post("/api/events", json=event()).status_code == 200


def test_a_key_without_full_rights_cannot_make_keys_or_users(door):
    key = door.client(door.key_of(door.administrator(), workspace="main"))
    assert key.post("/api/keys", json={"name": "more"}).status_code == 403
    assert key.post("/api/users", json={"username": "sneaky"}).status_code == 403
    assert key.get("/api/users").status_code == 403


def test_leaving_a_workspace_ends_its_keys(door):
    workspace = door.new_workspace()
    person = door.new_person(workspace)
    key = door.client(door.key_of(person))
    assert key.get("/api/auth/me").status_code == 200
    gone = door.client(door.admin["token"]).delete(f"/api/workspaces/{workspace}/members/{person.name}")
    assert gone.status_code == 204
    assert key.get("/api/auth/me").status_code == 401


def test_a_name_that_differs_in_letter_case_only_is_taken(door):
    person = door.new_person()
    administrator = door.client(door.admin["token"])
    assert administrator.post("/api/users", json={"username": person.name.upper()}).status_code == 409


def test_create_admin_twice_is_a_clear_error_and_reset_gives_new_secrets(door, run_create_admin):
    first = run_create_admin(door.database, "--username", "second-admin", "--workspace", "lab")
    assert first.returncode == 0, first.stderr
    again = run_create_admin(door.database, "--username", "Second-Admin")
    assert again.returncode == 1
    assert again.stderr.strip().startswith("argus-gateway: there is already a user second-admin")
    reset = run_create_admin(door.database, "--username", "second-admin", "--reset", "--workspace", "lab")
    made = json.loads(reset.stdout)
    assert set(made) == {"username", "password", "token", "workspace"}
    assert door.client(made["token"]).get("/api/auth/me").json()["workspace"] == "lab"
    assert door.sign_in("second-admin", made["password"])


def test_what_people_do_and_try_stands_in_the_audit_trail_for_good(door):
    person = door.new_person()
    person.post("/api/users", json={"username": "x"})
    rows = door.sql(
        "SELECT actor, action, result FROM identity.audit_entries WHERE actor = %s ORDER BY id", person.name
    )
    assert (person.name, "sign_in", "done") in rows
    assert (person.name, "administrate", "refused") in rows
    for query in ("DELETE FROM identity.audit_entries", "UPDATE identity.audit_entries SET actor = 'x'"):
        try:
            door.sql(query)
        except Exception as error:
            assert "append-only" in str(error)
        else:
            raise AssertionError(query)


def test_a_key_that_would_end_before_it_begins_is_refused(door):
    person = door.new_person()
    for past in ("2001-01-01T00:00:00Z", "2001-01-01T00:00:00"):
        refused = person.post("/api/keys", json={"name": "late", "expires_at": past})
        assert refused.status_code == 422
        assert [error["field"] for error in refused.json()["errors"]] == ["body.expires_at"]
    assert person.post("/api/keys", json={"name": "x", "expires_at": "2101-01-01T00:00:00Z"}).status_code == 201
