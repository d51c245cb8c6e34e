"""Check the bar whose range fills a resting entry: what it proves after the fill, and what `intrabar` decides.

Each line of `COMBINATIONS` is one bar after a signal at a close of 100. Levels, worked out by hand (entry 5 % from the
close; stop loss, trailing stop and target 10 % from the price paid; cash for one unit, so that a short is liquidated at
twice its price):

           entry  stop   target  liquidation
    LIMIT  long     95    85.5   104.5
    LIMIT  short   105   115.5    94.5   210
    STOP   long    105    94.5   115.5
    STOP   short    95   104.5    85.5   190

An exit of `-` is none: the position stays open. The exits are those of PESSIMISTIC and of OPTIMISTIC; a bar that leaves
one of them open is counted.
"""

from __future__ import annotations

import itertools

import pytest

from src.domain.order_rules import EntryType
from src.domain.trading import Direction, FillTiming, IntrabarPolicy
from tests.scenarios.drawing import Scenario, rules

LIMIT, STOP = EntryType.LIMIT, EntryType.STOP
PESSIMISTIC, OPTIMISTIC, NEAREST = IntrabarPolicy
ENTRIES = {("long", "LIMIT"): 95, ("short", "LIMIT"): 105, ("long", "STOP"): 105, ("short", "STOP"): 95}

COMBINATIONS = """
    side  entry orders      | open high low  close  | pessimistic         | optimistic          | counted

    long  LIMIT stop        | 100  101  85   90     | 85.5 stop_loss      | 85.5 stop_loss      | no
    long  LIMIT stop        | 100  101  85.5 100    | 85.5 stop_loss      | 85.5 stop_loss      | no
    long  LIMIT stop        | 100  101  86   90     | -                   | -                   | no
    long  LIMIT target      | 100  106  94   105    | 104.5 take_profit   | 104.5 take_profit   | no
    long  LIMIT target      | 100  106  95   104.5  | 104.5 take_profit   | 104.5 take_profit   | no
    long  LIMIT target      | 100  106  94   104.49 | -                   | 104.5 take_profit   | yes
    long  LIMIT target      | 100  104  94   97     | -                   | -                   | no
    long  LIMIT stop+target | 100  106  85   105    | 85.5 stop_loss      | 104.5 take_profit   | yes
    long  LIMIT stop+target | 100  106  85   90     | 85.5 stop_loss      | 104.5 take_profit   | yes
    long  LIMIT stop+target | 100  106  86   105    | 104.5 take_profit   | 104.5 take_profit   | no
    long  LIMIT stop+target | 100  106  86   90     | -                   | 104.5 take_profit   | yes
    long  LIMIT stop+target | 100  104  85   90     | 85.5 stop_loss      | 85.5 stop_loss      | no
    long  LIMIT trail       | 100  101  85   90     | 85.5 trailing_stop  | 85.5 trailing_stop  | no
    long  LIMIT trail       | 100  101  86   90     | -                   | -                   | no
    long  LIMIT trail+target| 100  106  85   105    | 85.5 trailing_stop  | 104.5 take_profit   | yes

    short LIMIT stop        | 100  116  99   110    | 115.5 stop_loss     | 115.5 stop_loss     | no
    short LIMIT stop        | 100  115  99   110    | -                   | -                   | no
    short LIMIT target      | 100  106  94   94.5   | 94.5 take_profit    | 94.5 take_profit    | no
    short LIMIT target      | 100  106  94   103    | -                   | 94.5 take_profit    | yes
    short LIMIT stop+target | 100  116  94   94.5   | 115.5 stop_loss     | 94.5 take_profit    | yes
    short LIMIT stop+target | 100  116  94   103    | 115.5 stop_loss     | 94.5 take_profit    | yes
    short LIMIT stop+target | 100  115  94   94     | 94.5 take_profit    | 94.5 take_profit    | no
    short LIMIT trail       | 100  116  99   110    | 115.5 trailing_stop | 115.5 trailing_stop | no
    short LIMIT trail+target| 100  116  94   103    | 115.5 trailing_stop | 94.5 take_profit    | yes
    short LIMIT ruin        | 100  210  99   110    | 210 liquidation     | 210 liquidation     | no
    short LIMIT ruin        | 100  209  99   110    | -                   | -                   | no
    short LIMIT ruin+target | 100  210  94   103    | 210 liquidation     | 94.5 take_profit    | yes
    short LIMIT ruin+stop   | 100  210  99   110    | 115.5 stop_loss     | 115.5 stop_loss     | no

    long  STOP  stop        | 100  106  90   94.5   | 94.5 stop_loss      | 94.5 stop_loss      | no
    long  STOP  stop        | 100  106  94   100    | 94.5 stop_loss      | -                   | yes
    long  STOP  stop        | 100  106  95   100    | -                   | -                   | no
    long  STOP  target      | 100  116  99   110    | 115.5 take_profit   | 115.5 take_profit   | no
    long  STOP  target      | 100  115  99   110    | -                   | -                   | no
    long  STOP  stop+target | 100  116  94   100    | 94.5 stop_loss      | 115.5 take_profit   | yes
    long  STOP  stop+target | 100  116  90   94     | 94.5 stop_loss      | 115.5 take_profit   | yes
    long  STOP  stop+target | 100  116  95   100    | 115.5 take_profit   | 115.5 take_profit   | no
    long  STOP  stop+target | 100  115  94   100    | 94.5 stop_loss      | -                   | yes
    long  STOP  trail       | 100  106  90   94     | 94.5 trailing_stop  | 94.5 trailing_stop  | no
    long  STOP  trail       | 100  106  94   100    | 94.5 trailing_stop  | -                   | yes
    long  STOP  trail+target| 100  116  94   100    | 94.5 trailing_stop  | 115.5 take_profit   | yes

    short STOP  stop        | 100  106  94   104.5  | 104.5 stop_loss     | 104.5 stop_loss     | no
    short STOP  stop        | 100  106  94   100    | 104.5 stop_loss     | -                   | yes
    short STOP  stop        | 100  104  94   100    | -                   | -                   | no
    short STOP  target      | 100  101  85   90     | 85.5 take_profit    | 85.5 take_profit    | no
    short STOP  stop+target | 100  106  85   90     | 104.5 stop_loss     | 85.5 take_profit    | yes
    short STOP  stop+target | 100  106  85   105    | 104.5 stop_loss     | 85.5 take_profit    | yes
    short STOP  stop+target | 100  104  85   90     | 85.5 take_profit    | 85.5 take_profit    | no
    short STOP  trail       | 100  106  94   105    | 104.5 trailing_stop | 104.5 trailing_stop | no
    short STOP  trail       | 100  106  94   100    | 104.5 trailing_stop | -                   | yes
    short STOP  trail+target| 100  106  85   90     | 104.5 trailing_stop | 85.5 take_profit    | yes
    short STOP  ruin        | 100  200  94   190    | 190 liquidation     | 190 liquidation     | no
    short STOP  ruin        | 100  200  94   100    | 190 liquidation     | -                   | yes
    short STOP  ruin        | 100  189  94   100    | -                   | -                   | no
    short STOP  ruin+target | 100  200  85   90     | 190 liquidation     | 85.5 take_profit    | yes
"""


def combination(line: str, policy: IntrabarPolicy) -> Scenario:
    """Read one line of the table."""
    setting, bar, pessimistic, optimistic, counted = (cell.strip() for cell in line.split("|"))
    side, kind, orders = setting.split()
    level = ENTRIES[side, kind]
    leave = (pessimistic if policy is PESSIMISTIC else optimistic).split()
    buys = {"long": ("buy", "sell"), "short": ("sell", "buy")}[side]
    fills = f"{buys[0]} 1 @ {level} {kind.lower()}"
    if leave != ["-"]:
        fills += f" ; {buys[1]} 1 @ {leave[0]} {leave[1]}"
    rate = {name: 0.1 for name in ("stop", "target", "trail") if name in orders.split("+")}
    return Scenario(
        name=f"{setting} | {bar} | {policy}",
        rules=rules(
            units=1,
            cash=level if "ruin" in orders else 1000,
            entry=EntryType(kind),
            offset=0.05,
            direction=Direction[side.upper()],
            intrabar=policy,
            **rate,
        ),
        ambiguous_bars=int(counted == "yes"),
        is_liquidated="liquidation" in leave,
        table=f"""
        open high low close | signal    | fills
        100  101  99  100   | {buys[0]} |
        {bar}               |           | {fills}
        """,
    )


LINES = [line for line in COMBINATIONS.strip().splitlines()[1:] if line.strip()]
TABLE = [combination(line, policy) for line, policy in itertools.product(LINES, (PESSIMISTIC, OPTIMISTIC))]

CASES = [
    Scenario(
        name="short stop entry at 108 falls on to its target of 105",
        rules=rules(units=1, entry=STOP, offset=0.1, target=1 / 36, direction=Direction.SHORT),
        table="""
        open high low close | signal | fills                                          | equity
        120  121  119 120   | sell   |                                                | 1000
        112  113  104 106   |        | sell 1 @ 108 stop ; buy 1 @ 105 take_profit    | 1003
        """,
    ),
    Scenario(
        name="stop buy 2.5, stop 2.4, target 2.6 in a bar from 2 to 3, pessimistic",
        rules=rules(units=1, entry=STOP, offset=0.25, stop=0.04, target=0.04),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills                                       | equity
        2    2    2   2     | buy    |                                             | 1000
        2    3    2   3     |        | buy 1 @ 2.5 stop ; sell 1 @ 2.4 stop_loss   | 999.9
        """,
    ),
    Scenario(
        name="stop buy 2.5, stop 2.4, target 2.6 in a bar from 2 to 3, optimistic",
        rules=rules(units=1, entry=STOP, offset=0.25, stop=0.04, target=0.04, intrabar=OPTIMISTIC),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills                                       | equity
        2    2    2   2     | buy    |                                             | 1000
        2    3    2   3     |        | buy 1 @ 2.5 stop ; sell 1 @ 2.6 take_profit | 1000.1
        """,
    ),
    Scenario(
        name="limit buy 4952 in a bar that falls and closes at 5100, beyond its target of 5001.5",
        rules=rules(units=1, cash=10_000, entry=LIMIT, offset=0.2, target=49.5 / 4952),
        table="""
        open high low  close | signal | fills                                            | equity
        6190 6190 6190 6190  | buy    |                                                  | 10000
        5400 5400 4900 5100  |        | buy 1 @ 4952 limit ; sell 1 @ 5001.5 take_profit | 10049.5
        """,
    ),
    Scenario(
        name="a stop in the entry's bar pays slippage and fees, the limit only fees",
        rules=rules(units=1, entry=LIMIT, offset=0.05, stop=0.1, slippage=0.01, fee=0.1),
        # Bought at 95; stop 85.5; sold at 85.5 × 0.99.
        table="""
        open high low close | signal | fills                                                               | equity
        100  101  99  100   | buy    |                                                                     | 1000
        100  101  80  90    |        | buy 1 @ 95 limit fee 9.5 ; sell 1 @ 84.645 stop_loss fee 8.4645     | 971.6805
        """,
    ),
    Scenario(
        name="a target in the entry's bar pays no slippage and starts from the price paid",
        rules=rules(units=1, entry=STOP, offset=0.05, target=0.1, slippage=0.01),
        # Paid 106.05; target 116.655.
        table="""
        open high low close | signal | fills                                                | equity
        100  101  99  100   | buy    |                                                      | 1000
        100  120  99  110   |        | buy 1 @ 106.05 stop ; sell 1 @ 116.655 take_profit   | 1010.605
        """,
    ),
    *(
        Scenario(
            name=f"an entry that slips beyond its stop leaves at the level that let it in, uncounted, {policy}",
            rules=rules(units=1, entry=STOP, offset=0.05, stop=0.02, target=0.05, slippage=0.05, intrabar=policy),
            # Paid 110.25; stop 108.045, above the market at 105; sold at 105 × 0.95. Target: 115.7625.
            ambiguous_bars=0,
            table="""
        open high low close | signal | fills                                                | equity
        100  101  99  100   | buy    |                                                      | 1000
        100  120  99  110   |        | buy 1 @ 110.25 stop ; sell 1 @ 99.75 stop_loss       | 989.5
        """,
        )
        for policy in IntrabarPolicy
    ),
    Scenario(
        name="the trailing stop follows the high of a stop entry's bar, and is hit from the next bar on",
        rules=rules(units=1, entry=STOP, offset=0.05, trail=0.1),
        # The high of 120 moves the stop to 108; the close of 107 came later, and the open finds it passed.
        table="""
        open high low close | signal | fills                      | equity
        100  101  99  100   | buy    |                            | 1000
        100  120  99  107   |        | buy 1 @ 105 stop           | 1002
        106  111  100 110   |        | sell 1 @ 106 trailing_stop | 1001
        """,
    ),
    Scenario(
        name="the trailing stop of a limit entry starts from its price, if the bar closes worse",
        rules=rules(units=1, entry=LIMIT, offset=0.05, trail=0.1),
        # Best price since the entry: the entry itself, 95, not the close of 90.
        table="""
        open high low close | signal | fills                       | equity
        100  101  99  100   | buy    |                             | 1000
        100  130  89  90    |        | buy 1 @ 95 limit            | 995
        90   91   85  88    |        | sell 1 @ 85.5 trailing_stop | 990.5
        """,
    ),
    Scenario(
        name="stopped out in the entry's bar, bought again by a signal of its close",
        rules=rules(units=1, entry=LIMIT, offset=0.05, stop=0.1),
        table="""
        open high low close | signal | fills                                      | equity
        100  101  99  100   | buy    |                                            | 1000
        100  101  80  100   | buy    | buy 1 @ 95 limit ; sell 1 @ 85.5 stop_loss | 990.5
        100  101  95  100   |        | buy 1 @ 95 limit                           | 995.5
        """,
    ),
    Scenario(
        name="stopped out in the entry's bar, a sell signal at its close finds no position",
        rules=rules(units=1, entry=LIMIT, offset=0.05, stop=0.1, life=5, fill=FillTiming.SAME_CLOSE),
        table="""
        open high low close | signal | fills                                      | equity
        100  101  99  100   | buy    |                                            | 1000
        100  101  80  100   | sell   | buy 1 @ 95 limit ; sell 1 @ 85.5 stop_loss | 990.5
        100  101  80  100   |        |                                            | 990.5
        """,
    ),
    Scenario(
        name="target out of proof, sold by a signal at the same close",
        rules=rules(units=1, entry=LIMIT, offset=0.05, target=0.1, fill=FillTiming.SAME_CLOSE),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills                                  | equity
        100  101  99  100   | buy    |                                        | 1000
        100  110  94  97    | sell   | buy 1 @ 95 limit ; sell 1 @ 97 signal  | 1002
        """,
    ),
    Scenario(
        name="both ways: out at the open, in by the opposite limit and stopped inside the bar",
        rules=rules(units=1, entry=LIMIT, offset=0.05, stop=0.1, direction=Direction.BOTH),
        # Long at 95; out at 101; short at 105, stop 115.5.
        table="""
        open high low close | signal | fills                                                              | equity
        100  101  99  100   | buy    |                                                                    | 1000
        100  101  95  100   | sell   | buy 1 @ 95 limit                                                   | 1005
        101  116  100 104   |        | sell 1 @ 101 signal ; sell 1 @ 105 limit ; buy 1 @ 115.5 stop_loss | 995.5
        """,
    ),
    Scenario(
        name="a bar that closes at its low proves the stop of a stop entry",
        rules=rules(units=1, entry=STOP, offset=0.05, stop=0.1, intrabar=OPTIMISTIC),
        table="""
        open high low close | signal | fills                                      | equity
        100  101  99  100   | buy    |                                            | 1000
        100  106  80  80    |        | buy 1 @ 105 stop ; sell 1 @ 94.5 stop_loss | 989.5
        """,
    ),
]


@pytest.mark.parametrize("scenario", TABLE, ids=lambda case: case.name)
def test_every_combination_fills_as_drawn(scenario: Scenario) -> None:
    scenario.play()


@pytest.mark.parametrize("scenario", CASES, ids=lambda case: case.name)
def test_entry_bars_fill_as_drawn(scenario: Scenario) -> None:
    scenario.play()
