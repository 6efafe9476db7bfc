"""Which expressions are taken, and what is said of those that are not?"""

import pytest

from services.sync.cron import BadExpression, parse


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("", "0 fields"),
        ("* * * *", "4 fields"),
        ("0 * * * * *", "6 fields"),
        ("@daily", "instead of @daily"),
        ("60 * * * *", "'60' is no minute"),
        ("* 24 * * *", "'24' is no hour"),
        ("* * 0 * *", "'0' is no day of the month"),
        ("* * 32 * *", "'32' is no day of the month"),
        ("* * * 13 *", "'13' is no month"),
        ("* * * FOO *", "'FOO' is no month"),
        ("* * * * 8", "'8' is no day of the week"),
        ("* * * * FRI-MON", "'FRI-MON' is no day of the week"),
        ("*/0 * * * *", "'*/0' is no minute"),
        ("5-1 * * * *", "'5-1' is no minute"),
        ("1,,2 * * * *", "'1,,2' is no minute"),
        ("-1 * * * *", "'-1' is no minute"),
        ("1.5 * * * *", "'1.5' is no minute"),
        ("٣ * * * *", "'٣' is no minute"),
        ("0 0 L * *", "'L' is no day of the month"),
        ("0 0 LW * *", "'LW' is no day of the month"),
        ("0 0 * * 5L", "'5L' is no day of the week"),
        ("0 0 * * MON#2", "'MON#2' is no day of the week"),
        ("0 0 ? * *", "'?' is no day of the month"),
        ("0 0 30 2 *", "comes never"),
        ("0 0 31 4,6 *", "comes never"),
        (f"{'1,' * 600}1 * * * *", "1024 bytes"),
    ],
)
def test_what_is_no_expression_says_which_field_and_why(expression: str, said: str) -> None:
    with pytest.raises(BadExpression) as refused:
        parse(expression)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "expression", ["* * * * *", "  5 4  * jul SUN ", "0-30/10,45 */6 1,15 * 1-5", "1/7 * * * 0-7"]
)
def test_what_cron_takes_is_taken(expression: str) -> None:
    assert parse(expression).times


def test_a_range_of_one_in_steps_is_that_one() -> None:
    assert [at.minute for at in parse("7-7/2 0 * * *").times] == [7]
    with pytest.raises(BadExpression):
        parse("7-7/0 0 * * *")
