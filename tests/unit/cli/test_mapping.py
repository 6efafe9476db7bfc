import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.cli.errors import Failed
from libs.cli.importing.mapping import CUSTOMER_ROLES, USUAL, pairs_of, propose


def spelt(name: str) -> st.SearchStrategy[str]:
    """Ways to write a usual name."""
    return st.sampled_from(
        [name, name.upper(), name.title(), name[:4] + "_" + name[4:], name[:4] + " " + name[4:]]
    )


usual_columns = st.tuples(*(st.sampled_from(names).flatmap(spelt) for names in USUAL.values())).filter(
    lambda columns: (
        len({column.lower().replace("_", "").replace(" ", "") for column in columns}) == len(columns)
    )
)


@given(usual_columns, st.randoms(use_true_random=False))
def test_usual_names_are_found_in_any_order(columns: tuple[str, ...], random: object) -> None:
    shuffled = [*columns, "price", "brand"]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    found = propose(shuffled, {})
    assert found.roles == dict(zip(USUAL, columns, strict=True))
    assert found.guessed == set(USUAL)
    assert set(found.attributes) == {"price", "brand"}


@given(st.lists(st.text(min_size=1, max_size=12), unique=True, max_size=8))
def test_every_column_is_a_role_or_an_attribute_but_never_both(columns: list[str]) -> None:
    columns = [column for column in columns if column != "me"]
    found = propose(["me", *columns], {"customer_id": "me"}, event_type="v")
    roles, attributes = set(found.roles.values()), set(found.attributes)
    assert roles | attributes == {"me", *columns}
    assert not roles & attributes


def test_the_surer_name_wins() -> None:
    found = propose(["id", "user", "customerId", "type", "event_name"], {})
    assert found.roles == {"customer_id": "customerId", "event_type": "event_name", "event_id": "id"}
    assert set(found.attributes) == {"user", "type"}


def test_a_file_of_customers_may_call_the_customer_id() -> None:
    assert propose(["id", "city"], {}, roles=CUSTOMER_ROLES).roles == {"customer_id": "id"}
    found = propose(["id", "userId", "type", "date"], {}, roles=CUSTOMER_ROLES)
    assert found.roles == {"customer_id": "userId"}
    assert set(found.attributes) == {"id", "type", "date"}


def test_a_column_can_be_renamed_but_not_onto_another() -> None:
    found = propose(["u", "amount"], {"customer_id": "u", "price": "amount"}, event_type="v")
    assert found.attributes == {"amount": "price"}
    with pytest.raises(Failed, match="would both be"):
        propose(["u", "amount", "price"], {"customer_id": "u", "price": "amount"}, event_type="v")


@pytest.mark.parametrize(
    ("columns", "given_columns", "says"),
    [
        (["u"], {"customer_id": "v"}, "no column 'v'"),
        (["a"], {}, "customer_id=COLUMN"),
        (["user"], {}, "event_type=COLUMN"),
    ],
)
def test_what_is_missing_is_said(columns: list[str], given_columns: dict[str, str], says: str) -> None:
    with pytest.raises(Failed, match=says):
        propose(columns, given_columns)


@pytest.mark.parametrize("options", [["x"], ["=x"], ["x="], ["a=b", "a=c"]])
def test_bad_map_options_are_refused(options: list[str]) -> None:
    with pytest.raises(Failed, match="--map"):
        pairs_of(options)
