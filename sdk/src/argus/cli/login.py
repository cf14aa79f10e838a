"""`argus login`: the address and the key, checked and kept."""

from __future__ import annotations

import sys

import click
import httpx
import orjson

from argus.reader import detail
from argus.settings import clean_url, credentials_path, read_credentials, write_credentials


@click.command()
@click.argument("url", required=False)
@click.option("--token", help="The API key (ak_…). Asked for where it is not given.")
@click.option("--json", "as_json", is_flag=True, help="Who you are, as JSON (without the key).")
def login(url: str | None, token: str | None, as_json: bool) -> None:
    """Keep the address of an Argus and your key, so that scripts need neither."""
    address = clean_url(
        url or read_credentials().get("url") or click.prompt("Address", default="http://localhost:8000")
    )
    if address is None or not address.startswith("http"):
        raise click.ClickException("the address starts with http:// or https://")
    token = token or _asked_key()
    try:
        answer = httpx.get(f"{address}/api/auth/me", headers={"Authorization": f"Bearer {token}"}, timeout=10)
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeEncodeError) as error:
        raise click.ClickException(f"cannot reach {address}: {error or type(error).__name__}") from None
    if answer.status_code == 401:
        raise click.ClickException(f"{address} does not accept this key")
    if answer.status_code != 200:
        raise click.ClickException(f"{address} answered {answer.status_code}: {detail(answer)}")
    try:
        me = answer.json()
    except ValueError:
        raise click.ClickException(f"{address} answered no JSON; is this an Argus?") from None
    facts = {"url": address, "token": str(token)}
    for key in ("nats_url", "workspace", "user"):
        if isinstance(me.get(key), str):
            facts[key] = me[key]
    try:
        write_credentials(facts)
    except OSError as error:
        raise click.ClickException(f"cannot write {credentials_path()}: {error.strerror}") from None
    if as_json:
        click.echo(orjson.dumps({key: facts[key] for key in sorted(facts) if key != "token"}).decode())
        return
    click.echo(f"signed in to {address} as {me.get('user') or me.get('username')}; kept in {credentials_path()}")


def _asked_key() -> str:
    """Typed unseen, or the first line of what is piped in: `argus login URL < key.txt`."""
    if sys.stdin.isatty():
        return str(click.prompt("API key", hide_input=True))
    piped = sys.stdin.readline().strip()
    if not piped:
        raise click.ClickException("no key: give --token, or pipe it in")
    return piped
