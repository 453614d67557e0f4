"""How many connections there are to divide."""

from paceline_operator.core.budget.limit import ConnectionBudget, Pooler


def test_what_the_server_says_may_only_lower_it() -> None:
    budget = ConnectionBudget(200, 10, namespaces=frozenset({"data"}))
    assert [budget.connections(learnt) for learnt in (None, 100, 1000, 3)] == [190, 90, 190, 0]
    assert [budget.allows(namespace) for namespace in ("data", "shop")] == [True, False]


def test_behind_a_pooler_its_clients_are_divided() -> None:
    assert ConnectionBudget(200, 10, Pooler(1000, 100)).connections(7) == 1000
