"""The files of a site's deployment: valid, complete, without a secret. No engine runs here."""

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[3]
COMPOSE = REPOSITORY / "docker-compose.yaml"
EXAMPLE = REPOSITORY / ".env.example"
VARIABLE = re.compile(r"(?<!\$)\$\{(?P<name>[A-Z_]+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")
SECRET = re.compile(r"PASSWORD|SECRET|KEY|TOKEN")
AIRFLOW_SERVICES = ("init", "airflow-api", "airflow-execution", "scheduler", "dag-processor", "triggerer", "worker")
SET_BY_THE_SANDBOX_ALONE = {"PRODSYS_ROLES", "PRODSYS_USER"}  # who types a command, see cli/actor.py


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load(COMPOSE.read_text())


@pytest.fixture(scope="module")
def example():
    lines = [line for line in EXAMPLE.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def variables():
    text = re.sub(r"(?m)^#.*$", "", COMPOSE.read_text())
    return [match.groupdict() for match in VARIABLE.finditer(text)]


def filled(text):
    """The text as Compose would fill it in, with an example value for what has no default."""
    return VARIABLE.sub(lambda found: found["rest"] if found["kind"] == "-" else f"x-{found['name']}-x", text)


def test_the_compose_file_follows_the_compose_specification():
    command = [
        str(Path(sys.executable).parent / "check-jsonschema"),
        "--builtin-schema",
        "vendor.compose-spec",
        str(COMPOSE),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_variable_is_explained_and_every_explained_one_is_used(example):
    assert {found["name"] for found in variables()} == set(example)


def test_defaults_are_the_same_in_both_files(example):
    for found in variables():
        expected = found["rest"] if found["kind"] == "-" else ""
        assert example[found["name"]] == expected, found["name"]


def test_no_variable_is_silently_empty():
    assert [found["name"] for found in variables() if found["kind"] not in ("-", "?")] == []


def test_no_secret_has_a_default():
    for found in variables():
        if SECRET.search(found["name"]):
            assert found["kind"] == "?", found["name"]


def test_every_mounted_folder_exists_and_is_read_only(compose):
    mounts = [mount for service in compose["services"].values() for mount in service.get("volumes", [])]
    folders = [mount for mount in mounts if mount.startswith(".")]
    assert folders
    for mount in folders:
        source, _, mode = mount.split(":")
        assert (REPOSITORY / source).is_dir(), source
        assert mode == "ro", mount


def test_what_is_copied_into_the_image_exists():
    text = (REPOSITORY / "Dockerfile").read_text()
    sources = [word for line in re.findall(r"(?m)^COPY (?!--from)(.+)$", text) for word in line.split()[:-1]]
    assert sources
    assert [source for source in sources if not (REPOSITORY / source).exists()] == []
    sent = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {source.removeprefix("./") for source in sources} == sent


def test_every_service_of_airflow_is_there_with_a_health_check(compose):
    assert set(compose["services"]) == {"postgres", "redis", "proxy", *AIRFLOW_SERVICES}
    for name, service in compose["services"].items():
        assert "healthcheck" in service or name == "init", name


def test_the_scheduler_and_all_that_run_tasks_wait_for_the_execution_api(compose):
    for name in ("scheduler", "worker", "triggerer"):
        waits = compose["services"][name]["depends_on"]
        assert waits["airflow-execution"] == {"condition": "service_healthy"}
        assert waits["init"] == {"condition": "service_completed_successfully"}


def test_people_and_running_tasks_have_api_servers_of_their_own(compose):
    apps = {name: compose["services"][name]["command"] for name in ("airflow-api", "airflow-execution")}
    assert apps["airflow-api"][1:4] == ["api-server", "--apps", "core"]
    assert apps["airflow-execution"][1:4] == ["api-server", "--apps", "execution"]


def test_init_migrates_both_databases(compose):
    script = compose["services"]["init"]["command"][-1]
    assert "airflow db migrate" in script
    assert "python -m prodsys.ledger.migrate" in script


def test_only_the_pages_are_published_and_only_to_this_host(compose):
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert published == {"proxy": ["${AIRFLOW_LISTEN:-127.0.0.1:8443}:8443"]}


def test_the_proxy_limits_tokens_and_logins_and_says_who_asked(compose):
    text = compose["configs"]["proxy"]["content"].replace("$$", "$")
    locations = dict(re.findall(r"location (\S+) \{(.*?)\}", text, re.S))
    assert set(locations) == {"/auth/token", "/auth/login", "/"}
    for path, rules in locations.items():
        assert "proxy_pass http://airflow-api:8080;" in rules
        assert ("limit_req zone=logins" in rules) == path.startswith("/auth/"), path
    assert re.search(r"limit_req_zone \$binary_remote_addr zone=logins:\S+ rate=\d+r/m;", text)
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in text, "nobody says of himself who he is"
    assert text.count("{") == text.count("}")


def test_airflow_believes_the_proxy_and_nobody_else(compose):
    subnet = compose["networks"]["default"]["ipam"]["config"][0]["subnet"]
    told = {name: service.get("environment", {}) for name, service in compose["services"].items()}
    assert told["airflow-api"]["FORWARDED_ALLOW_IPS"] == subnet
    assert [name for name, environment in told.items() if "FORWARDED_ALLOW_IPS" in environment] == ["airflow-api"]
    assert "--proxy-headers" in compose["services"]["airflow-api"]["command"]


def test_no_dollar_of_nginx_is_taken_for_a_variable_of_compose(compose):
    for name, config in compose["configs"].items():
        assert "$" not in config["content"].replace("$$", ""), name


def test_values_in_json_can_be_read_once_filled_in(compose):
    environment = compose["services"]["worker"]["environment"]
    found = {
        name: json.loads(filled(value)) for name, value in environment.items() if value.lstrip().startswith(("{", "["))
    }
    assert {name for name in found if "CONN" in name} == {
        "AIRFLOW_CONN_PRODSYS_LEDGER",
        "AIRFLOW_CONN_PANDA_DEFAULT",
        "AIRFLOW_CONN_RUCIO_DEFAULT",
    }
    bundles = {one["name"]: one["classpath"] for one in found["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"]}
    assert bundles["requests"] == "prodsys.building.bundle.RequestBundle"


def test_every_setting_that_the_package_reads_is_given_or_has_a_default(compose):
    environment = {**compose["services"]["worker"]["environment"], "PRODSYS_HOME": "of the image"}
    wanted = set()
    for file in (REPOSITORY / "plugins" / "prodsys").rglob("*.py"):
        text = file.read_text()
        wanted |= {f"PRODSYS_{name}" for name in re.findall(r"\bneed\(\s*[\"']([A-Z_]+)[\"']", text)}
        wanted |= {f"PRODSYS_{name}_FILE" for name in re.findall(r"\bsecret\(\s*[\"']([A-Z_]+)[\"']", text)}
    assert wanted - set(environment) - SET_BY_THE_SANDBOX_ALONE == set()


def test_every_option_of_airflow_exists(compose):
    """Read from Airflow's own list of options, without importing Airflow."""
    package = Path(find_spec("airflow").origin).parent
    known = yaml.safe_load((package / "config_templates" / "config.yml").read_text())
    environment = compose["services"]["worker"]["environment"]
    unknown = []
    for name in environment:
        if found := re.fullmatch(r"AIRFLOW__([A-Z_]+?)__([A-Z_]+)", name):
            section, option = (part.lower() for part in found.groups())
            if not section.startswith("celery") and option not in known.get(section, {}).get("options", {}):
                unknown.append(name)
    assert unknown == []
