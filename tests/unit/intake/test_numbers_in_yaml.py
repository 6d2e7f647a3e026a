"""Numbers in YAML are what a person reads: YAML 1.2's core schema, one reader, faults with file, line and remedy."""

from __future__ import annotations

import shutil
import time
import tracemalloc
from pathlib import Path

import pytest

from prodsys.intake.files import read_files
from prodsys.intake.lint import lint_specs
from prodsys.intake.recurring_files import lint_templates
from prodsys.intake.yaml_file import MAX_BYTES, load_yaml_text, parse_yaml
from tests.unit.intake.corpus import REPOSITORY, SPECS

CASES = REPOSITORY / "tests" / "data" / "cases"
ZEROS = CASES / "03-yaml-leading-zero"
PILLS = CASES / "s01-yaml-poison-pill"
REQUESTS = [path.name for path in sorted(ZEROS.glob("*.yaml")) if "weekly" not in path.name]


@pytest.mark.parametrize("name", REQUESTS)
def test_a_number_that_two_programs_read_differently_is_refused_with_its_line(name, catalogue):
    intake = read_files([ZEROS / name], catalogue)
    assert intake.accepted == ()
    lines = (ZEROS / name).read_text().splitlines()
    for fault in intake.faults:
        assert fault.value in lines[fault.row - 1]
        assert fault.remedy
    if "octal" in name:
        assert all("write it without the zero" in fault.remedy for fault in intake.faults)


def test_every_number_of_a_recurring_template_is_read_so(catalogue, tmp_path):
    faults = lint_templates([ZEROS / "octal-weekly.yaml"], catalogue)
    columns = {fault.column for fault in faults if "without the zero" in fault.remedy}
    assert columns == {"intervals", "first_number", "first_seed", "seeds_per_interval"}


def test_every_number_of_the_specs_is_read_so(tmp_path):
    changes = {
        "partitions.yaml": ("lifetime_days: 30", "lifetime_days: 030"),
        "policy.yaml": ("running_limit: 10", "running_limit: 010"),
        "sites.yaml": ("slots: 1500", "slots: 01500"),
        "chains/SIM-RECO.yaml": ("ram_mb: ", "ram_mb: 0"),
        "profiles/sandbox.yaml": ("wait_max_s: 3600", "wait_max_s: 03600"),
    }
    for name, (old, new) in changes.items():
        specs = tmp_path / name.replace("/", "-")
        shutil.copytree(SPECS, specs)
        text = (specs / name).read_text()
        assert old in text
        (specs / name).write_text(text.replace(old, new))
        faults = lint_specs(specs, [specs / name])
        assert faults, name
        assert all("without the zero" in fault.remedy and fault.row for fault in faults), faults


@pytest.mark.parametrize(
    ("name", "old", "new", "column"),
    [
        ("policy.yaml", "rounds: 2", "rounds: yes", "settle[1].rounds"),
        ("policy.yaml", "rounds: 2", "rounds: true", "settle[1].rounds"),
        ("policy.yaml", "ask_hours: 72", "ask_hours: 1:12", "settle[1].ask_hours"),
        ("policy.yaml", "ask_hours: 72", "ask_hours: .inf", "settle[1].ask_hours"),
        ("policy.yaml", "ask_hours: 72", 'ask_hours: "inf"', "settle[1].ask_hours"),
        ("policy.yaml", "ask_hours: 72", 'ask_hours: "7_2"', "settle[1].ask_hours"),
        ("policy.yaml", "running_limit: 10", "running_limit: 1_0", "running_limit"),
        ("policy.yaml", "running_limit: 10", "running_limit: '010'", "running_limit"),
        ("policy.yaml", "running_limit: 10", "running_limit: 0x10", "running_limit"),
        ("policy.yaml", "running_limit: 10", "running_limit: 0o10", "running_limit"),
        ("policy.yaml", "running_limit: 10", "running_limit: on", "running_limit"),
        ("recurring/example-weekly.yaml", "start: ", "start: 20270104 #", "start"),
        ("recurring/example-weekly.yaml", "start: ", "start: '20270104' #", "start"),
    ],
)
def test_words_and_odd_texts_are_no_numbers(tmp_path, name, old, new, column):
    shutil.copytree(SPECS, tmp_path / "specs")
    path = tmp_path / "specs" / name
    if not path.exists():
        path = next((tmp_path / "specs" / "recurring").glob("*.yaml"))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    [fault] = lint_specs(tmp_path / "specs", [path])
    line = next(at for at, line in enumerate(path.read_text().splitlines(), 1) if new.split(" #")[0] in line)
    assert (fault.column, fault.row) == (column, line)
    assert fault.remedy


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("41", 41),
        ("-5", -5),
        ("+5", 5),
        ("0", 0),
        ("1e4", 10000.0),
        (".5", 0.5),
        ("4.10", 4.1),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("null", None),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("1,500", "1,500"),
        ("4.1.7.2", "4.1.7.2"),
        ("2027-01-04", "2027-01-04"),
        ("2027-01-04 00:00:00", "2027-01-04 00:00:00"),
        ("nan", "nan"),
        ("inf", "inf"),
        ('"0041"', "0041"),
        ("!!str 0041", "0041"),
        ("=", "="),
    ],
)
def test_a_plain_word_is_what_stands_there(text, value):
    found = load_yaml_text(f"a: {text}\n", "a.yaml")["a"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    "text",
    [
        "0041",
        "-010",
        "00",
        "01.5",
        "08",
        "0x1F",
        "0o17",
        "0b11",
        ".inf",
        "-.INF",
        ".nan",
        "1e400",
        "1e-400",
        "9" * 19,
        "1" + "0" * 5000,
        "0.1234567890123456789",
        "9007199254740993.0",
    ],
)
def test_a_number_that_programs_read_differently_is_a_fault_with_its_place(text):
    document = parse_yaml(f"a:\n  - b: 1\n  - b: {text}\n", "a.yaml")
    [fault] = document.faults
    assert (fault.file, fault.row, fault.column) == ("a.yaml", 3, "a[1].b")
    assert fault.remedy


def test_keys_are_texts_as_they_stand_there():
    assert load_yaml_text("4.10: a\n4.1: b\non: c\n010: d\nnull: e\n", "a.yaml") == {
        "4.10": "a",
        "4.1": "b",
        "on": "c",
        "010": "d",
        "null": "e",
    }


def test_a_version_that_looks_like_a_number_is_repeated_as_it_was_written(read):
    text = (ZEROS / "sexagesimal.yaml").read_text().replace("12:30", "1").replace("4.1.7.2", "4.10")
    [fault] = read(text, "r.yaml").faults
    assert (fault.column, fault.value, fault.remedy) == ("version", "4.10", 'put it in quotes: "4.10"')


@pytest.mark.parametrize("path", sorted(PILLS.glob("*.yaml")), ids=lambda path: path.stem)
def test_an_odd_value_costs_its_own_file_only(path, catalogue, tmp_path):
    shutil.copy(path, tmp_path / "aa.yaml")
    good = (PILLS / "01-empty-int.yaml").read_text().replace('priority: !!int ""', "priority: 900")
    (tmp_path / "zz.yaml").write_text(good)
    intake = read_files([tmp_path], catalogue)
    assert [one.spec.request_id for one in intake.accepted] == ["PROD2027-001"]
    [fault] = intake.faults
    assert fault.file.endswith("aa.yaml")
    assert fault.row == len(path.read_text().splitlines())
    assert fault.remedy


@pytest.mark.parametrize(
    "text",
    [
        "a: &x [1, 2]\n",
        "a: &x 1\nb: *x\n",
        "<<: {a: 1}\n",
        "a: !!binary aGk=\n",
        "a: !!set {b}\n",
        "a: !!omap [b: 1]\n",
        "a: !!python/object/apply:os.system [id]\n",
        "a: !unknown 1\n",
        "a: !!float 1\n",
        "{}: {}\n",
        "? [1]\n: 2\n",
        "a: 1\n---\nb: 2\n",
        "---\n...\n---\na: 1\n",
        "a: " + "[" * 100_000,
        "- " * 50_000 + "a",
        "a: \x07\n",
        "a: \ud800\n",
        "a: 1\na: 2\n",
        '"a": 1\na: 2\n',
        "\ta: 1\n",
        "a: 'b\n",
        "a" * (MAX_BYTES + 1),
        "".join(f"k{number}: 1\n" for number in range(90_000)),
        "? a\n" * 49_000,
    ],
)
def test_what_no_file_here_needs_is_a_fault_and_never_an_exception(text):
    began = time.process_time()
    document = parse_yaml(text, "a.yaml")
    assert document.faults
    assert all(fault.message and fault.remedy for fault in document.faults)
    assert time.process_time() - began < 10


def test_nests_of_aliases_cost_nothing():
    bomb = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 10}]\n" for n in range(1, 12))
    tracemalloc.start()
    assert parse_yaml(bomb, "a.yaml").faults
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_one_module_alone_reads_yaml():
    folders = (REPOSITORY / "plugins", REPOSITORY / "sandbox", REPOSITORY / "dags")
    readers = [
        path.relative_to(REPOSITORY).as_posix()
        for folder in folders
        for path in folder.rglob("*.py")
        if any(
            line.strip().startswith(("import yaml", "from yaml", "import ruamel", "from ruamel"))
            for line in Path(path).read_text(encoding="utf-8").splitlines()
        )
    ]
    assert set(readers) == {"plugins/prodsys/intake/yaml_file.py"}
