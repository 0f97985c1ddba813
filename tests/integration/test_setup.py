"""What `init` makes of the answers: the texts in both languages, the config, the key, the clicks."""

import json
import re
import stat
import time
import tomllib
from pathlib import Path

import pytest
from bent_certificates import in_pem

from presencebridge.cli.main import main
from presencebridge.config import load
from presencebridge.graph.auth import certificate_credential
from presencebridge.setup import clicks, writing
from presencebridge.setup.answers import V20, Answers, of_config
from presencebridge.setup.certificate import make_certificate, write_secret
from presencebridge.setup.texts import Text

TENANT = "11111111-2222-3333-4444-555555555555"
APP = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"


def answers(**words: object) -> Answers:
    usual = {
        "tenant": TENANT,
        "client_id": APP,
        "certificate_file": "app.pem",
        "kind": V20,
        "pbx_url": "https://pbx.example.com:5001",
        "pbx_client_id": "teamsync",
        "pbx_key_file": "pbx-key",
        "match": "list",
        "manual_wins": True,
        "people": [("ann@example.org", "101")],
    }
    return Answers(**{**usual, **words})


# The texts ----------------------------------------------------------------------------------------


def braces(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


@pytest.mark.parametrize("text", list(Text), ids=lambda text: text.name)
def test_every_text_is_there_in_both_languages(text):
    assert text.en.strip()
    assert text.de.strip()
    assert text.en != text.de
    assert braces(text.en) == braces(text.de)


# The config ---------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("app.pem", "pbx-key"):
        (tmp_path / name).write_text("not read by the check")
    return tmp_path


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("kind", [V20, "3cx-web-api"])
def test_a_new_config_is_one_and_has_comments(folder, kind, language):
    file = folder / "site.toml"
    said = answers(kind=kind, cloud="global", exclude=["925"], pbx_url="https://pbx.example.com")
    file.write_text(writing.new_config(said, language, "site.toml"))
    config = load(file)
    assert (config.pbx.kind, config.policy.manual_wins, config.people.exclude) == (kind, True, ("925",))
    assert of_config(tomllib.loads(file.read_text())).people == [("ann@example.org", "101")]
    assert file.read_text().count("\n#") >= 8


HAND_MADE = """# ours
[teams]
tenant_id = "11111111-2222-3333-4444-555555555555"   # the # of the tenant
client_id = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
client_secret_file = "secret"
poll_every_s = 7  # not so often

[pbx]
kind = "3cx-web-api"
url = "http://127.0.0.1:8889"

[[person]]
teams = "ann@example.org"
extension = "101"  # Ann
preset = "mirror"
"""


def test_answers_are_filled_in_and_the_rest_stays():
    said = of_config(tomllib.loads(HAND_MADE))
    assert writing.filled_in(HAND_MADE, said) == HAND_MADE
    said.tenant, said.manual_wins, said.listen = APP, True, "127.0.0.1:9000"
    said.people = [("ann@example.org", "111"), ("bob@example.org", "102")]
    text = writing.filled_in(HAND_MADE, said)
    assert text is not None
    raw = tomllib.loads(text)
    assert raw["teams"]["poll_every_s"] == 7
    assert f'tenant_id = "{APP}"   # the # of the tenant' in text
    assert 'extension = "111"  # Ann' in text
    assert raw["person"][0]["preset"] == "mirror"
    assert raw["person"][1] == {"teams": "bob@example.org", "extension": "102"}
    assert (raw["policy"], raw["operator"]) == ({"manual_wins": True}, {"listen": "127.0.0.1:9000"})


@pytest.mark.parametrize(
    "text",
    [
        HAND_MADE.replace('kind = "3cx-web-api"', 'kind = """\n3cx-web-api"""'),
        'pbx = {kind = "3cx-web-api", url = "http://127.0.0.1:8889"}\n' + HAND_MADE.partition("[pbx]")[0],
    ],
)
def test_what_can_not_be_filled_in_is_left_to_a_person(text):
    said = of_config(tomllib.loads(HAND_MADE))
    said.kind = V20
    assert writing.filled_in(text, said) is None


@pytest.mark.parametrize(
    "raw", [{"teams": 1}, {"person": {}}, {"person": [1]}, {"teams": {"tenant_id": 5}}, {"people": []}]
)
def test_a_config_of_odd_form_answers_nothing(raw):
    assert of_config(raw) == Answers()


# The key ------------------------------------------------------------------------------------------


def test_a_key_is_made_once_and_only_its_owner_reads_it(tmp_path):
    pem, crt = tmp_path / "app.pem", tmp_path / "app.crt"
    assert make_certificate(pem, time.time())
    assert stat.S_IMODE(pem.stat().st_mode) == 0o600
    assert certificate_credential(pem.read_text())["public_certificate"].strip() == crt.read_text().strip()
    assert "PRIVATE" not in crt.read_text()
    before = pem.read_bytes()
    crt.write_text("of another key")
    assert not make_certificate(pem, time.time())
    assert pem.read_bytes() == before
    assert "CERTIFICATE" in crt.read_text()


def test_a_key_that_nobody_can_read_is_kept_and_told_without_a_word_of_it(tmp_path):
    pem = tmp_path / "app.pem"
    make_certificate(pem, time.time())
    good = pem.read_text()
    _, of_no_version = in_pem(good)
    for odd in (of_no_version, good.replace("-----BEGIN CERTIFICATE", "-----BEGIN"), "nonsense"):
        pem.write_text(odd)
        with pytest.raises(ValueError, match=r"^nothing in it can be read as one in PEM$"):
            make_certificate(pem, time.time())
        assert pem.read_text() == odd


def test_a_secret_is_never_written_over(tmp_path):
    write_secret(tmp_path / "key", "one")
    with pytest.raises(FileExistsError):
        write_secret(tmp_path / "key", "two")
    assert (tmp_path / "key").read_text() == "one"


# The clicks ---------------------------------------------------------------------------------------


def told(said: Answers, language: str = "en") -> str:
    return clicks.to_click(said, language, "site.toml", "app.crt", "pbx-key")


@pytest.mark.parametrize(
    ("cloud", "login", "portal"),
    [
        ("global", "https://login.microsoftonline.com", "entra.microsoft.com"),
        ("usgov", "https://login.microsoftonline.us", "portal.azure.us"),
        ("dod", "https://login.microsoftonline.us", "portal.azure.us"),
    ],
)
def test_the_links_are_those_of_the_cloud(cloud, login, portal):
    text = told(answers(cloud=cloud))
    assert f"{login}/{TENANT}/adminconsent?client_id={APP}" in text
    assert portal in text


@pytest.mark.parametrize(
    ("said", "needed", "spared"),
    [
        ({}, "User.ReadBasic.All", "User.Read.All"),
        ({"people": [(APP, "101")]}, "Presence.Read.All", "User.Read"),
        ({"match": "email", "people": []}, "User.Read.All", "User.ReadBasic.All"),
        ({"delivery": "webhook"}, "Delegated", "nothing else"),
    ],
)
def test_no_more_rights_are_asked_for_than_are_needed(said, needed, spared):
    text = told(answers(**said))
    assert needed in text
    assert spared not in text
    assert "Presence.ReadWrite.All" in text


def test_every_extension_to_monitor_is_named():
    people = [("ann@example.org", "101"), ("bob@example.org", "102")]
    assert "101, 102" in told(answers(people=people))
    assert "every extension" in told(answers(match="email", people=[]))
    assert "jede Nebenstelle" in told(answers(match="email", people=[]), "de")
    assert "WebAPICore.dll 8889" in told(answers(kind="3cx-web-api", pbx_url="http://127.0.0.1:8889"))


def test_texts_may_hold_anything_that_toml_can():
    said = answers(people=[('a"b\\@example.org', "101")])
    raw = tomllib.loads(writing.new_config(said, "en", "x"))
    assert raw["person"][0]["teams"] == json.loads('"a\\"b\\\\@example.org"')


def run_init(config: Path) -> None:
    arguments = ["--tenant", TENANT, "--client-id", APP, "--pbx-url", "https://pbx.example.com:5001"]
    arguments += ["--kind", "3cx-v20", "--pbx-client-id", "x"]
    with pytest.raises(SystemExit) as ended:
        main(["init", "--yes", "--output", str(config), *arguments])
    assert ended.value.code == 0


def test_new_secrets_go_into_the_packages_folder_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    config = tmp_path / "site.toml"
    run_init(config)
    assert (tmp_path / "secrets" / "app.pem").stat().st_mode & 0o777 == 0o600
    assert 'certificate_file = "secrets/app.pem"' in config.read_text()
    assert 'client_secret_file = "secrets/pbx-key"' in config.read_text()


def test_two_sites_in_one_folder_share_no_key_and_no_state(tmp_path: Path) -> None:
    said = []
    for name in ("berlin", "bonn"):
        run_init(tmp_path / f"{name}.toml")
        said.append(tomllib.loads((tmp_path / f"{name}.toml").read_text()))
    for section, word in (("teams", "certificate_file"), ("pbx", "client_secret_file"), ("state", "dir")):
        berlin, bonn = (one[section][word] for one in said)
        assert "berlin" in berlin
        assert "bonn" in bonn
    keys = {(tmp_path / one["teams"]["certificate_file"]).read_bytes() for one in said}
    assert len(keys) == 2
