"""The chart as rendered: names that others rely on, rights, security, and what it refuses."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from paceline_api.client_settings import JobsSettings
from paceline_api.settings_group import is_weak

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "paceline"
CRDS = sorted((ROOT / "operator" / "paceline_operator" / "crd").glob("*.yaml"))

pytestmark = pytest.mark.skipif(not shutil.which("helm"), reason="chart: helm not found")

JOBS = "service.jobs.enabled=true"

Objects = dict[tuple[str, str], dict[str, Any]]


def helm_template(*settings: str) -> subprocess.CompletedProcess[str]:
    command = ["helm", "template", "paceline", str(CHART), "--namespace", "shop"]
    for setting in settings:
        command += ["--set", setting]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def rendered(*settings: str) -> Objects:
    output = helm_template("demo.enabled=true", *settings)
    assert output.returncode == 0, output.stderr
    objects = [item for item in yaml.safe_load_all(output.stdout) if item]
    return {(item["kind"], item["metadata"]["name"]): item for item in objects}


def pod_of(objects: Objects, component: str) -> dict[str, Any]:
    pod: dict[str, Any] = objects["Deployment", f"paceline-{component}"]["spec"]["template"]["spec"]
    return pod


def container_of(objects: Objects, component: str) -> dict[str, Any]:
    container: dict[str, Any] = pod_of(objects, component)["containers"][0]
    return container


def environment_of(objects: Objects, component: str) -> dict[str, Any]:
    return {item["name"]: item.get("value", item.get("valueFrom")) for item in container_of(objects, component)["env"]}


def operator_rules(objects: Objects) -> list[dict[str, Any]]:
    return [rule for (kind, _), item in objects.items() if kind in {"Role", "ClusterRole"} for rule in item["rules"]]


def test_the_names_that_policies_and_people_rely_on() -> None:
    objects = rendered("service.nodePort=30080")
    port = objects["Service", "paceline-service"]["spec"]["ports"][0]
    assert (port["port"], port["nodePort"]) == (80, 30080)
    assert {("Deployment", "paceline-service"), ("Deployment", "paceline-operator")} <= objects.keys()
    assert [port for port in container_of(objects, "service")["ports"] if port["name"] == "paceline"]


def test_the_tuning_document_is_an_optional_folder_that_the_chart_never_writes() -> None:
    objects = rendered()
    volume = next(item for item in pod_of(objects, "service")["volumes"] if item["name"] == "tuning")
    mount = next(item for item in container_of(objects, "service")["volumeMounts"] if item["name"] == "tuning")
    assert volume["configMap"] == {"name": "paceline-service-tuning", "optional": True}
    assert "subPath" not in mount
    assert environment_of(objects, "service")["PACELINE_TUNING_FILE"] == f"{mount['mountPath']}/tuning.json"
    assert not [name for kind, name in objects if kind == "ConfigMap"]
    assert "annotations" not in objects["Deployment", "paceline-service"]["spec"]["template"]["metadata"]


def test_the_grace_period_outlasts_delay_and_drain() -> None:
    objects = rendered("service.terminationDelaySeconds=7", "service.gracefulTimeoutSeconds=40")
    assert environment_of(objects, "service")["PACELINE_TERMINATION_DELAY_SECONDS"] == "7"
    assert environment_of(objects, "service")["PACELINE_GRACEFUL_TIMEOUT_SECONDS"] == "40"
    assert pod_of(objects, "service")["terminationGracePeriodSeconds"] > 7 + 40


@pytest.mark.parametrize(
    "component", ["service", "jobs", "operator", "postgresql", "valkey", "valkey-security", "mail"]
)
def test_every_container_is_restricted_with_a_read_only_root(component: str) -> None:
    pod = pod_of(rendered(JOBS), component)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"] + pod.get("initContainers", []):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"]


def test_only_the_operator_gets_a_token() -> None:
    objects = rendered(JOBS)
    others = ("service", "jobs", "postgresql", "valkey", "valkey-security", "mail")
    assert {name for name in others if pod_of(objects, name)["automountServiceAccountToken"]} == set()


def test_the_operator_may_neither_change_pods_nor_read_secrets() -> None:
    for settings in ([], ["operator.namespaced=true"]):
        for rule in operator_rules(rendered(*settings)):
            assert "*" not in rule["resources"] + rule["verbs"] + rule["apiGroups"]
            assert "secrets" not in rule["resources"]
            if "pods" in rule["resources"]:
                assert set(rule["verbs"]) <= {"get", "list", "watch"}


@pytest.mark.invariant
@pytest.mark.parametrize("namespaced", ["true", "false"])
def test_checkpoints_are_read_and_written_by_name_and_no_more(namespaced: str) -> None:
    rules = operator_rules(rendered(f"operator.namespaced={namespaced}"))
    (rule,) = [rule for rule in rules if any("tuningcheckpoints" in resource for resource in rule["resources"])]
    assert rule == {
        "apiGroups": ["paceline.dev"],
        "resources": ["tuningcheckpoints"],
        "verbs": ["get", "create", "update"],
    }


def test_a_namespaced_operator_needs_no_right_outside_its_namespace() -> None:
    objects = rendered("operator.namespaced=true")
    assert not [kind for kind, _ in objects if kind.startswith("ClusterRole")]
    assert environment_of(objects, "operator")["PACELINE_OPERATOR_NAMESPACES"] == "shop"
    assert ("Role", "paceline-operator") in objects


@pytest.mark.invariant
@pytest.mark.parametrize("namespaced", ["true", "false"])
def test_what_rbac_cannot_narrow_an_admission_policy_does(namespaced: str) -> None:
    objects = rendered(f"operator.namespaced={namespaced}")
    policies = {name: body["spec"] for (kind, name), body in objects.items() if kind == "ValidatingAdmissionPolicy"}
    bound = {body["spec"]["policyName"] for (kind, _), body in objects.items() if kind.endswith("PolicyBinding")}
    resources = {
        resource
        for spec in policies.values()
        for rule in spec["matchConstraints"]["resourceRules"]
        for resource in rule["resources"]
    }
    assert resources == {"configmaps", "leases", "pods/status", "tuningcheckpoints"}
    assert bound == set(policies)
    for spec in policies.values():
        (condition,) = spec["matchConditions"]
        assert condition["expression"].endswith("== 'system:serviceaccount:shop:paceline-operator'")
        assert spec["failurePolicy"] == "Fail"


def test_whoever_may_not_create_admission_policies_goes_without_them_and_without_nudging() -> None:
    objects = rendered("operator.admissionPolicy=false", "operator.nudge=false")
    assert not [kind for kind, _ in objects if kind.startswith("ValidatingAdmission")]


def test_without_nudging_there_is_no_right_to_it() -> None:
    assert not [rule for rule in operator_rules(rendered("operator.nudge=false")) if "pods/status" in rule["resources"]]


def test_an_autoscaler_owns_the_number_of_pods() -> None:
    assert rendered()["Deployment", "paceline-service"]["spec"]["replicas"] == 2
    scaled = rendered("service.autoscaling.enabled=true")
    assert "replicas" not in scaled["Deployment", "paceline-service"]["spec"]
    assert ("HorizontalPodAutoscaler", "paceline-service") in scaled


def test_there_is_one_operator_and_never_two() -> None:
    spec = rendered()["Deployment", "paceline-operator"]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


@pytest.mark.parametrize("source", CRDS, ids=lambda path: path.stem)
def test_the_custom_resources_are_the_operators_own_and_stay_unless_told_otherwise(source: Path) -> None:
    definition = yaml.safe_load(source.read_text())
    key = ("CustomResourceDefinition", definition["metadata"]["name"])
    kept, dropped = rendered()[key], rendered("crds.keep=false")[key]
    assert kept["spec"] == dropped["spec"] == definition["spec"]
    assert kept["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert "helm.sh/resource-policy" not in dropped["metadata"].get("annotations", {})
    assert key not in rendered("crds.enabled=false")


def test_another_application_needs_an_image_and_a_module_and_gets_nothing_of_the_reference_api() -> None:
    output = helm_template(
        "service.image.repository=registry.example/shop", "service.image.tag=v1", "service.app=shop.main:app"
    )
    assert output.returncode == 0, output.stderr
    objects = {(item["kind"], item["metadata"]["name"]): item for item in yaml.safe_load_all(output.stdout) if item}
    assert container_of(objects, "service")["args"] == ["paceline", "serve", "shop.main:app"]
    assert "initContainers" not in pod_of(objects, "service")
    assert not {"DATABASE_URL", "REDIS_URL"} & environment_of(objects, "service").keys()


def test_releases_that_share_a_redis_share_no_cached_value_and_the_jobs_of_one_forget_what_it_cached() -> None:
    objects = rendered("service.jobs.enabled=true")
    names = {environment_of(objects, part)["PACELINE_CACHE_NAMESPACE"] for part in ("service", "jobs")}
    assert names == {"shop.paceline-service"}
    own = rendered("service.env.PACELINE_CACHE_NAMESPACE=ours")
    assert environment_of(own, "service")["PACELINE_CACHE_NAMESPACE"] == "ours"


def test_a_secret_of_the_users_own_wins_over_the_demo() -> None:
    environment = environment_of(rendered("service.database.existingSecret=mine"), "service")
    assert environment["DATABASE_URL"]["secretKeyRef"] == {"name": "mine", "key": "url"}
    assert environment["REDIS_URL"]["secretKeyRef"] == {"name": "paceline-valkey", "key": "url"}
    assert environment["SECURITY_REDIS_URL"]["secretKeyRef"] == {"name": "paceline-valkey-security", "key": "url"}


@pytest.mark.invariant
def test_the_demo_evicts_no_revoked_token() -> None:
    objects = rendered("networkPolicy.enabled=true")
    for component, policy in (("valkey", "allkeys-lru"), ("valkey-security", "noeviction")):
        arguments = container_of(objects, component)["args"]
        assert arguments[arguments.index("--maxmemory-policy") + 1] == policy
        ports = [one["name"] for one in container_of(objects, component)["ports"]]
        (rule,) = objects["NetworkPolicy", f"paceline-{component}"]["spec"]["ingress"]
        assert [one["port"] for one in rule["ports"]] == ports
        (port,) = objects["Service", f"paceline-{component}"]["spec"]["ports"]
        assert port["targetPort"] in ports


def test_backends_that_the_api_can_do_without_are_set_only_where_named() -> None:
    named = {"MONGO_URL", "UPSTREAM_URL"}
    assert not named & environment_of(rendered(), "service").keys()
    settings = ("service.mongo.existingSecret=documents", "service.upstream.url=http://users.shop.svc")
    environment = environment_of(rendered(*settings), "service")
    assert environment["MONGO_URL"] == {"secretKeyRef": {"name": "documents", "key": "url"}}
    assert environment["UPSTREAM_URL"] == "http://users.shop.svc"


def test_jobs_are_nobodys_target_but_their_own_deployments() -> None:
    objects = rendered(JOBS, "metrics.podMonitor=true", "networkPolicy.enabled=true")
    labels = objects["Deployment", "paceline-jobs"]["spec"]["template"]["metadata"]["labels"]

    def selects(item: dict[str, Any]) -> bool:
        spec = item.get("spec", {})
        selector = spec.get("podSelector") or spec.get("selector") or {}
        wanted = selector.get("matchLabels", selector)
        return bool(wanted) and wanted.items() <= labels.items()

    chosen = {key for key, item in objects.items() if selects(item)}
    assert chosen == {("Deployment", "paceline-jobs"), ("NetworkPolicy", "paceline-jobs")}


def test_nobody_calls_the_jobs() -> None:
    spec = rendered(JOBS, "networkPolicy.enabled=true")["NetworkPolicy", "paceline-jobs"]["spec"]
    assert (spec["policyTypes"], spec.get("ingress", [])) == (["Ingress"], [])


def test_jobs_have_the_time_that_they_take_to_stop() -> None:
    pod = pod_of(rendered(JOBS), "jobs")
    assert pod["terminationGracePeriodSeconds"] > JobsSettings().stop_seconds + 5


def test_jobs_are_alive_while_they_touch_their_file() -> None:
    objects = rendered(JOBS)
    file = environment_of(objects, "jobs")["API_JOBS_ALIVE_FILE"]
    for name in ("startupProbe", "livenessProbe"):
        assert file in container_of(objects, "jobs")[name]["exec"]["command"][-1]
    mounts = [mount["mountPath"] for mount in container_of(objects, "jobs")["volumeMounts"]]
    assert str(Path(file).parent) in mounts, "the root file system is read-only"


def test_the_database_lets_the_jobs_in_and_the_demos_mail_server_nobody_else() -> None:
    objects = rendered(JOBS, "networkPolicy.enabled=true")

    def clients(component: str) -> list[str]:
        (rule,) = objects["NetworkPolicy", f"paceline-{component}"]["spec"]["ingress"]
        return [one["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for one in rule["from"]]

    assert (clients("postgresql"), clients("valkey"), clients("mail")) == (["service", "jobs"], ["service"], ["jobs"])
    assert clients("valkey-security") == ["service"]


def test_jobs_know_the_mail_server_and_nothing_of_tokens() -> None:
    own = ("service.smtp.existingSecret=smtp", "service.smtp.sender=Shop <hello@shop.example>")
    objects = rendered(JOBS, *own)
    environment = environment_of(objects, "jobs")
    assert environment["API_MAIL_SMTP_URL"] == {"secretKeyRef": {"name": "smtp", "key": "url"}}
    assert environment["API_MAIL_SENDER"] == "Shop <hello@shop.example>"
    assert environment["DATABASE_URL"]["secretKeyRef"]["name"] == "paceline-postgresql"
    migration, jobs = *pod_of(objects, "jobs")["initContainers"], container_of(objects, "jobs")
    for container in (migration, jobs):
        names = {variable["name"] for variable in container["env"]}
        assert not names & {"API_TOKEN_SECRET", "SECURITY_REDIS_URL"}, container["name"]
    assert "API_MAIL_SMTP_URL" not in environment_of(objects, "service")


def test_the_demo_brings_a_mail_server_where_the_jobs_have_no_other() -> None:
    with_jobs = rendered(JOBS)
    service, container = with_jobs["Service", "paceline-mail"]["spec"], container_of(with_jobs, "mail")
    (port,), (listening,) = service["ports"], container["ports"]
    assert environment_of(with_jobs, "jobs")["API_MAIL_SMTP_URL"] == f"smtp://paceline-mail:{port['port']}"
    assert port["targetPort"] == listening["name"]
    assert f"0.0.0.0:{listening['containerPort']}" in container["args"]
    labels = with_jobs["Deployment", "paceline-mail"]["spec"]["template"]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items()

    named = rendered(JOBS, "service.smtp.url=smtp://relay:25")
    assert environment_of(named, "jobs")["API_MAIL_SMTP_URL"] == "smtp://relay:25"
    for objects in (named, rendered(JOBS, "service.smtp.existingSecret=smtp"), rendered()):
        assert ("Deployment", "paceline-mail") not in objects


def test_tokens_are_signed_with_the_users_secret_or_one_that_the_demo_makes() -> None:
    def named(objects: Objects) -> Any:
        return environment_of(objects, "service")["API_TOKEN_SECRET"]["secretKeyRef"]

    demo = rendered()
    assert named(demo) == {"name": "paceline-auth", "key": "secret"}
    assert not is_weak(demo["Secret", "paceline-auth"]["stringData"]["secret"])
    own = rendered("service.auth.existingSecret=mine")
    assert named(own) == {"name": "mine", "key": "secret"}
    assert ("Secret", "paceline-auth") not in own


def test_a_demo_with_a_given_password_is_rendered_the_same_each_time() -> None:
    def secret(password: str) -> str:
        return str(rendered(f"demo.password={password}")["Secret", "paceline-auth"]["stringData"]["secret"])

    assert secret("development") == secret("development") != secret("other")
    assert not is_weak(secret("development"))


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        pytest.param(
            ["service.bogus=1"], "additional properties 'bogus' not allowed", id="a value that does not exist"
        ),
        pytest.param(["service.image.tag="], "/service/image/tag", id="an empty tag"),
        pytest.param(["service.replicas=-1"], "/service/replicas", id="fewer than no pods"),
        pytest.param(["service.app=shop.main"], "/service/app", id="a module without its application"),
        pytest.param(["service.nodePort=70000"], "/service/nodePort", id="a port that cannot be"),
        pytest.param(["service.env.A-B=1"], "A-B", id="a name that no variable can have"),
        pytest.param(
            ["operator.admissionPolicy=false"], "set operator.nudge=false too", id="a right that nothing narrows"
        ),
        pytest.param(["operator.maxMode=Loud"], "'Off', 'Recommend', 'Auto'", id="a mode that does not exist"),
        pytest.param(["telemetry.sampleRatio=2"], "/telemetry/sampleRatio", id="more than all requests"),
        pytest.param(
            ["telemetry.otlpEndpoint=jaeger:4318"], "/telemetry/otlpEndpoint", id="an endpoint without a scheme"
        ),
        pytest.param(["demo.enabled=maybe"], "/demo/enabled", id="a switch that is neither on nor off"),
        pytest.param(
            ["service.autoscaling.enabled=true", "service.autoscaling.minReplicas=9"],
            "service.autoscaling.minReplicas (9) is above maxReplicas (6)",
            id="an autoscaler with min above max",
        ),
        pytest.param(["demo.enabled=false"], "set demo.enabled=true", id="the reference API without a database"),
        pytest.param(
            ["demo.enabled=false", "service.database.existingSecret=db"],
            "service.redis.existingSecret",
            id="the reference API without Redis",
        ),
        pytest.param(
            [JOBS, "service.app=shop.main:app"], "the reference API's own jobs", id="jobs of another application"
        ),
        pytest.param([JOBS, "service.enabled=false"], "needs service.enabled", id="jobs without the service"),
        pytest.param(
            [JOBS, "demo.enabled=false", "service.redis.existingSecret=redis", "service.smtp.url=smtp://mail"],
            "service.database.existingSecret",
            id="jobs without a database",
        ),
        pytest.param(
            [JOBS, "demo.enabled=false", "service.redis.existingSecret=redis", "service.database.existingSecret=db"],
            "service.smtp.existingSecret",
            id="jobs without a mail server",
        ),
        pytest.param(
            ["service.smtp.url=smtp://mail", "service.smtp.existingSecret=smtp"],
            "are both set",
            id="two mail servers",
        ),
        pytest.param(["service.smtp.url=smtp://me:pass@mail"], "/service/smtp/url", id="a password among the values"),
        pytest.param(
            ["service.enabled=false", "operator.enabled=false", "crds.enabled=false"],
            "nothing to install",
            id="everything switched off",
        ),
    ],
)
def test_the_chart_refuses(settings: list[str], complaint: str) -> None:
    output = helm_template("demo.enabled=true", *settings)
    assert output.returncode != 0
    assert complaint in output.stderr
