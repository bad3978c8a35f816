"""Placements at sites: parameters, what is included, the order of workloads, machines that exist or are made."""

from __future__ import annotations

import pytest

from orchestrator.model.address import Address
from orchestrator.model.change import Known
from orchestrator.model.values import Unknown
from tests.desired.estates import FIRST_LINE, LAB, PLACEMENT, Make

CONFIG = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {size: "{{ size }}", count: "{{ count }}"}
"""
PARAMETERS = """
parameters:
  size: {type: string, default: small}
  count: {type: integer, default: 1}
agile:
  web:
    manifests: [config.yaml.j2]
    vars: {size: "${parameters.size}", count: "${parameters.count}"}
"""


def site(name: str, labels: str = "{}", stable: str = "{provider: lab}", agile: str = "{cluster: {lab: true}}") -> str:
    parts = [f"  {key}: {value}" for key, value in (("stable", stable), ("agile", agile)) if value]
    head = f"\napiVersion: orchestrator/v1alpha1\nkind: Site\nmetadata: {{name: {name}, labels: {labels}}}\nspec:\n"
    return head + "\n".join(["  values: {}", *parts]) + "\n"


def test_values_win_over_defaults_and_the_last_fitting_override_over_values(make: Make) -> None:
    other = LAB.replace("name: lab, labels: {env: dev", "name: other, labels: {env: prod")
    placement = PLACEMENT.replace("values: {}", "values: {size: medium}") + (
        "  overrides:\n"
        "    - {sites: {matchLabels: {env: dev}}, values: {size: large, count: 5}}\n"
        "    - {sites: {matchExpressions: [{key: tier, operator: In, values: [lab]}]}, values: {count: 7}}\n"
    )
    made = make(PARAMETERS, {"config.yaml.j2": CONFIG}, placement=placement, estate_files={"other.yaml": other})
    found = {unit.address.site: unit.spec["object"]["data"] for unit in made.resolve().units}
    assert found == {"lab": {"size": "large", "count": "7"}, "other": {"size": "medium", "count": "7"}}


ORDER = """
stable:
  db:
    machines: {count: 1}
    configure: {playbook: db.yaml}
    outputs: {port: {type: integer, value: 1}}
  cache:
    machines: {count: 1}
    after: [stable.db]
agile:
  web:
    manifests: [web.yaml.j2]
    vars: {port: "${stable.db.outputs.port}"}
  late:
    manifests: [late.yaml]
    after: [stable.cache, agile.web]
    protect: true
"""
ORDER_FILES = {
    "db.yaml": "- hosts: all\n",
    "web.yaml.j2": "{apiVersion: v1, kind: ConfigMap, metadata: {name: web}, data: {p: '{{ port }}'}}",
    "late.yaml": "{apiVersion: v1, kind: ConfigMap, metadata: {name: late}}",
}


def test_a_reference_or_after_puts_units_behind_those_of_the_other_workload(make: Make) -> None:
    found = {
        unit.address.label: {address.label for address in unit.needs}
        for unit in make(ORDER, ORDER_FILES).resolve().units
    }
    assert found == {
        "machine db-0": set(),
        "configuration db-0": {"machine db-0"},
        "machine cache-0": {"configuration db-0"},
        "ConfigMap web": {"configuration db-0"},
        "ConfigMap late": {"machine cache-0", "ConfigMap web"},
    }


def test_a_configuration_that_is_told_about_machines_waits_for_all_of_them(make: Make) -> None:
    spec = "stable:\n  db:\n    machines: {count: 2}\n    configure: {playbook: db.yaml, vars: {x: '%s'}}\n"
    files = {"db.yaml": "- hosts: all\n"}
    for text, needs in (("${machines[0].address}", 2), ("${site.name}", 1)):
        unit = make(spec % text, files).unit("lab/shop/stable/db/configuration/db-1")
        assert len(unit.needs) == needs


def test_what_is_protected_knows_where_that_is_written(make: Make) -> None:
    made = make(ORDER, ORDER_FILES)
    late = made.unit("lab/shop/agile/late/ConfigMap/default/late")
    assert str(late.protected) == f"app/blueprint.yaml:{FIRST_LINE + 15}:16"
    assert made.unit("lab/shop/agile/web/ConfigMap/default/web").protected is None


def test_a_circle_is_told_with_all_its_references(make: Make) -> None:
    spec = ORDER.replace("machines: {count: 1}\n    configure", "after: [agile.late]\n    configure")
    found = make(spec, ORDER_FILES).check()
    assert len(found) == 1, found
    assert "in a circle: stable.db → agile.late → " in found[0]
    assert "app/blueprint.yaml:" in found[0].partition("the other references: ")[2]


def test_a_workload_that_refers_to_itself_is_told(make: Make) -> None:
    spec = "stable:\n  db:\n    outputs:\n      a: {type: integer, value: 1}\n"
    found = make(spec + "      b: {type: integer, value: '${stable.db.outputs.a}'}\n").check()
    assert len(found) == 1
    assert "stable.db needs itself" in found[0]


WHEN = """
stable:
  db:
    when: ${site.capabilities.machines}
    outputs: {port: {type: integer, value: 1}}
agile:
  web:
    when: ${site.capabilities.cluster}
    manifests: [web.yaml]
    outputs: {url: {type: string, value: x}}
outputs:
  url: {type: string, value: "${agile.web.outputs.url}"}
  port: {type: integer, value: "${stable.db.outputs.port}"}
"""
WHEN_FILES = {"web.yaml": ORDER_FILES["late.yaml"]}


def test_a_site_without_a_cluster_gets_the_stable_half_and_a_note(make: Make) -> None:
    found = make(WHEN, WHEN_FILES, site=site("lab", agile="")).resolve()
    assert {str(unit.address) for unit in found.units} == {"lab/shop/stable/db/machine/db-0"}
    assert [(note.site, note.placement, note.text) for note in found.notes] == [
        ("lab", "shop", "no cluster here: agile web is left out")
    ]
    assert found.outputs == {("lab", "shop"): {"port": 1}}


def test_a_workload_without_a_place_is_an_error_that_names_the_when_to_write(make: Make) -> None:
    spec = WHEN.replace("    when: ${site.capabilities.cluster}\n", "")
    found = make(spec, WHEN_FILES, site=site("lab", agile=""), estate_files={"b.yaml": site("b")}).check()
    assert len(found) == 1, found
    assert "agile.web has nowhere to run: site lab has no cluster" in found[0]
    assert "`when: ${site.capabilities.cluster}`" in found[0]


def test_a_reference_to_what_is_left_out_here_is_told_at_its_place(make: Make) -> None:
    spec = WHEN.replace("url: {type: string, value: x}", "url: {type: string, value: 'x${stable.db.outputs.port}'}")
    found = make(spec, WHEN_FILES, site=site("lab", stable="")).check()
    assert len(found) == 1, found
    assert found[0].startswith(f"app/blueprint.yaml:{FIRST_LINE + 8}:48: stable.db is left out here by its `when`")


STATIC = site("dc", stable="{provider: static, inventory: hosts.yml, bind: {db: {group: db}}}", agile="")
DB = """
stable:
  db:
    machines: {count: 2}
    configure: {playbook: db.yaml}
    outputs: {host: {type: string, value: "${machines[0].address}"}}
outputs:
  host: {type: string, value: "${stable.db.outputs.host}"}
"""
DB_FILES = {"db.yaml": "- hosts: all\n"}
INVENTORY = {"hosts.yml": "all: {hosts: {}}\n"}
HOSTS = {
    "z": {"address": "10.0.0.9", "groups": ["db"]},
    "a": {"address": "10.0.0.1", "groups": ["db"]},
    "w": {"address": "10.0.0.2", "groups": ["web"]},
}


def test_static_machines_are_the_bound_hosts_in_the_inventorys_order_and_are_no_units(make: Make) -> None:
    made = make(DB, DB_FILES, site=STATIC, estate_files=INVENTORY)
    found = made.resolve(Known(hosts={"dc": HOSTS}))
    assert [(str(unit.address), unit.spec["host"]) for unit in found.units] == [
        ("dc/shop/stable/db/configuration/z", "z"),
        ("dc/shop/stable/db/configuration/a", "a"),
    ]
    assert found.outputs["dc", "shop"] == {"host": "10.0.0.9"}


def test_hosts_bound_by_name_keep_the_order_of_the_binding(make: Make) -> None:
    made = make(DB, DB_FILES, site=STATIC.replace("{group: db}", "{hosts: [a, w]}"), estate_files=INVENTORY)
    found = made.resolve(Known(hosts={"dc": HOSTS}))
    assert [unit.spec["host"] for unit in found.units] == ["a", "w"]


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        ("{group: web}", "stable.db has 2 machines, and site dc binds 1: w; the count is at app/blueprint.yaml:7:"),
        ("{group: dbs}", "no host of the inventory is in the group `dbs`; did you mean `db`?"),
        ("{hosts: [a, y]}", "the inventory has no host `y`"),
        ("{hosts: [a, a]}", "the host `a` is here twice"),
    ],
)
def test_a_binding_that_does_not_fit_is_told_at_the_site(make: Make, binding: str, message: str) -> None:
    made = make(DB, DB_FILES, site=STATIC.replace("{group: db}", binding), estate_files=INVENTORY)
    found = [str(each) for each in made.wrong(Known(hosts={"dc": HOSTS})).diagnostics]
    assert len(found) == 1, found
    assert found[0].startswith("site.yaml:7:")
    assert message in found[0].replace(" (shop at dc)", "")


def test_a_static_site_that_binds_nothing_to_a_workload_is_told(make: Make) -> None:
    made = make(DB, DB_FILES, site=STATIC.replace(", bind: {db: {group: db}}", ""), estate_files=INVENTORY)
    found = made.check()
    assert len(found) == 1
    assert "site dc binds no hosts to stable.db" in found[0]


def test_machines_that_are_made_have_names_of_their_own_and_addresses_once_they_were_seen(make: Make) -> None:
    made = make(DB, DB_FILES)
    first = Address.parse("lab/shop/stable/db/machine/db-0")
    assert made.unit(str(first)).spec["name"] == "lab-shop-db-0"
    assert made.resolve().outputs["lab", "shop"]["host"] == Unknown("string", frozenset({str(first)}))
    known = Known(machines={first: {"address": "127.0.0.5"}})
    assert made.resolve(known).outputs["lab", "shop"]["host"] == "127.0.0.5"


def test_a_known_machine_is_known_though_its_neighbour_is_not(make: Make) -> None:
    spec = DB.replace('"${machines[0].address}"', "'${machines[0].address + \":\" + string(size(machines))}'")
    known = Known(machines={Address.parse("lab/shop/stable/db/machine/db-0"): {"address": "127.0.0.5"}})
    found = make(spec, DB_FILES).wrong(known).outputs["lab", "shop"]["host"]
    assert isinstance(found, Unknown)  # the list as a whole has an unknown address in it
    spec = DB.replace("${machines[0].address}", "${machines[0].address + machines[1].name}")
    assert make(spec, DB_FILES).resolve(known).outputs["lab", "shop"]["host"] == "127.0.0.5lab-shop-db-1"


def test_long_machine_names_are_cut_and_stay_different(make: Make) -> None:
    workload = "d" * 60
    found = make(DB.replace("db:\n", f"{workload}:\n").replace("stable.db", f"stable.{workload}"), DB_FILES).resolve()
    names = [str(unit.spec["name"]) for unit in found.units if unit.address.kind == "machine"]
    assert len(set(names)) == 2
    assert all(len(name) <= 63 for name in names)


FILES_OF_A_PLAYBOOK = {
    "stable/db.yaml": "- hosts: all\n  vars_files: [db-vars.yml]\n",
    "stable/db-remove.yaml": "- hosts: all\n",
    "stable/db-vars.yml": "more: [other.txt]\n",
    "stable/other.txt": "x",
    "stable/unrelated.yaml": "- hosts: none\n",
    "stable/templates/a.j2": "x",
    "stable/roles/r/tasks/main.yaml": "[]",
    "roles/base/tasks/main.yaml": "[]",
    "agile/web.yaml": ORDER_FILES["late.yaml"],
}


def test_a_configurations_inputs_are_the_files_that_its_playbook_can_use(make: Make) -> None:
    spec = """
    stable:
      db:
        configure: {playbook: stable/db.yaml, remove: stable/db-remove.yaml, vars: {port: 1}}
        ready: [{tcp: 6379}, {http: {port: 80}, within: 500ms}, {command: "true", within: 2m}]
    agile:
      web: {manifests: [agile]}
    """
    made = make(spec, FILES_OF_A_PLAYBOOK)
    unit = made.unit("lab/shop/stable/db/configuration/db-0")
    assert set(unit.inputs) == {
        "vars.port",
        "ready",
        "stable/db.yaml",
        "stable/db-vars.yml",
        "stable/other.txt",
        "stable/templates/a.j2",
        "stable/roles/r/tasks/main.yaml",
        "roles/base/tasks/main.yaml",
    }
    assert unit.spec["ready"] == [
        {"tcp": 6379, "within": 60.0},
        {"http": {"port": 80, "path": "/", "status": 200, "tls": False}, "within": 0.5},
        {"command": "true", "within": 120.0},
    ]
    assert (unit.spec["playbook"], unit.spec["remove"]) == ("stable/db.yaml", "stable/db-remove.yaml")
    assert unit.identity == "lab-shop-db-0:app/stable/db.yaml"


def test_a_workload_renamed_is_the_same_configuration(make: Make) -> None:
    def site_of(name: str) -> str:
        return STATIC.replace("bind: {db:", f"bind: {{{name}:")

    known = Known(hosts={"dc": HOSTS})
    first = make(DB, DB_FILES, site=site_of("db"), estate_files=INVENTORY).resolve(known)
    renamed = DB.replace("  db:\n    machines", "  store:\n    machines").replace("stable.db", "stable.store")
    second = make(renamed, DB_FILES, site=site_of("store"), estate_files=INVENTORY).resolve(known)
    assert [unit.identity for unit in first.units] == [unit.identity for unit in second.units]
    assert [unit.address for unit in first.units] != [unit.address for unit in second.units]


def test_a_port_out_of_range_is_told(make: Make) -> None:
    spec = "parameters: {port: {type: integer, default: 99999}}\n"
    spec += "stable:\n  db:\n    ready: [{tcp: '${parameters.port}'}]\n"
    found = make(spec).check()
    assert len(found) == 1
    assert "`tcp` must be a port from 1 to 65535, not 99999" in found[0]


def test_only_the_sites_that_are_asked_for_are_resolved(make: Make) -> None:
    from orchestrator import desired

    made = make(DB, DB_FILES, estate_files={"b.yaml": LAB.replace("name: lab", "name: b")})
    found = desired.resolve(made.loaded, Known(), {}, frozenset({"b"}))
    assert {unit.address.site for unit in found.units} == {"b"}
