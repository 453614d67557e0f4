"""Settings come from the environment; a wrong one is named as the person wrote it."""

import pytest
from paceline.errors import UsageError
from paceline.settings import GROUPS, Settings, load_settings


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PACELINE_WORKERS", "0"),
        ("PACELINE_TUNING", "sometimes"),
        ("PACELINE_TRACE_RATIO", "2"),
        ("PACELINE_TRACE_SLOW", "slow"),
    ],
)
def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError, match=rf"^environment variable {variable} is wrong: .*{value}"):
        load_settings()


def test_values_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACELINE_MAX_WORKERS", "5")
    monkeypatch.setenv("PACELINE_TRACE_RATIO", "0.5")
    settings = load_settings()
    assert (settings.serve.max_workers, settings.telemetry.ratio) == (5, 0.5)


@pytest.mark.parametrize("variable", ["PACELINE_TRUSTED_PROXIES", "FORWARDED_ALLOW_IPS"])
def test_trusted_proxies_may_be_named_as_uvicorn_does(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "10.0.0.0/8")
    assert load_settings().middleware.trusted_proxies == "10.0.0.0/8"


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"PACELINE_TRUSTED_PROXIES": "ingress"}, "PACELINE_TRUSTED_PROXIES"),
        ({"FORWARDED_ALLOW_IPS": "ingress"}, "FORWARDED_ALLOW_IPS"),
        ({"PACELINE_TRUSTED_PROXIES": "10.0.0.0/33", "FORWARDED_ALLOW_IPS": "10.0.0.0/8"}, "PACELINE_TRUSTED_PROXIES"),
    ],
)
def test_a_wrong_proxy_is_named_with_the_variable_that_holds_it(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], named: str
) -> None:
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError, match=rf"^environment variable {named} is wrong: '.*' is neither an address nor"):
        load_settings()


@pytest.mark.parametrize("value", ["redis://x", "1", "off", "true", '{"workers": 3}', ""])
def test_a_variable_of_others_that_is_named_like_a_group_is_not_read(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    before = load_settings()
    for name in Settings.model_fields:
        monkeypatch.setenv(name.upper(), value)
    assert load_settings() == before


def test_every_group_can_be_found_for_a_message() -> None:
    assert {name: field.annotation for name, field in Settings.model_fields.items()} == GROUPS


@pytest.mark.parametrize("name", ["pid_file", "tuning_file", "run_dir"])
def test_an_empty_path_is_none(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"PACELINE_{name.upper()}", "")
    assert getattr(load_settings().serve, name) is None
