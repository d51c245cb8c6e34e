"""Draw the cases of freqtrade's backtest tables anew, in the order of its `test_backtest_detail.py`.

`stoploss` is `stop`, `minimal_roi` is `target` or `targets`, `trailing_stop` with `trailing_stop_positive` and its
offset is `trail` and `trail_from`. A stop that freqtrade counts from the margin is counted from the price here, so it
is divided by the leverage.
"""

from __future__ import annotations

from typing import Final

from src.domain.exit_orders import ExitType
from src.domain.order_rules import EntryType
from src.domain.trading import Direction
from tests.scenarios.drawing import rules
from tests.scenarios.foreign_cases import ForeignCase, missing

LIMIT, SHORT, BOTH = EntryType.LIMIT, Direction.SHORT, Direction.BOTH

GAP: Final = "an open beyond the stop fills there; freqtrade fills at the stop if the bar came back to it"
OWN_BAR: Final = "a trailing stop rises at the end of a bar; freqtrade raises it by the high of the bar that may hit it"
ENTRY_BAR: Final = (
    "a trailing stop rises at the end of a bar; freqtrade raises it inside the bar of the entry, by the smallest move "
    "that arms it"
)
AT_LOW: Final = (
    "a trailing stop rises at the end of a bar; freqtrade raises it inside the bar of the entry and exits at the worst "
    "price of the bar if the bar does not reach the stop's first level"
)
WHOLE_BARS: Final = "ages are whole bars, so a target comes into force at an open; freqtrade counts minutes"
ONE_SIGNAL: Final = "a sell signal reverses a long; freqtrade keeps exits and entries apart, and ignores an entry alone"
EXIT_BEYOND_MARKET: Final = "a limit beyond the market: a LIMIT exit lies on the better side of the signal's close"
BEYOND_MARKET: Final = "a limit beyond the market: a LIMIT entry lies on the better side of the signal's close"

STOPS_AND_TARGETS = [
    ForeignCase(
        name="a sell signal closes at the next open, before any stop",
        rules=rules(units=1, stop=0.01),
        table="""
        open high low close | signal | fills
        400  403  398 401   | buy    |
        400  404  397 399   |        | buy 1 @ 400 signal
        399  402  398 400   | sell   |
        403  405  399 401   |        | sell 1 @ 403 signal
        """,
    ),
    ForeignCase(
        name="a bar falls far through the stop and fills at its level",
        rules=rules(units=1, stop=0.02),
        table="""
        open high low close | signal | fills
        400  403  398 401   | buy    |
        400  404  397 399   |        | buy 1 @ 400 signal
        398  400  370 372   |        | sell 1 @ 392 stop_loss
        395  397  394 396   |        |
        """,
    ),
    ForeignCase(
        name="a low short of the stop fills nothing, a later one does",
        rules=rules(units=1, stop=0.03),
        table="""
        open high low close | signal | fills
        400  403  398 401   | buy    |
        400  404  397 399   |        | buy 1 @ 400 signal
        399  400  389 391   |        |
        391  393  380 390   |        | sell 1 @ 388 stop_loss
        """,
    ),
    ForeignCase(
        name="a second entry after a stop has a stop of its own",
        rules=rules(units=1, stop=0.02),
        table="""
        open high low close | signal | fills
        400  403  398 401   | buy    |
        400  404  397 399   |        | buy 1 @ 400 signal
        398  400  370 390   |        | sell 1 @ 392 stop_loss
        391  396  390 394   | buy    |
        395  397  393 394   |        | buy 1 @ 395 signal
        394  396  300 301   |        | sell 1 @ 387.1 stop_loss
        """,
    ),
    ForeignCase(
        name="a bar that reaches stop and target and closes far above is stopped",
        rules=rules(units=1, stop=0.02, target=0.06),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills
        400  403  398 401   | buy    |
        400  404  397 399   |        | buy 1 @ 400 signal
        399  430  390 428   |        | sell 1 @ 392 stop_loss
        """,
    ),
    ForeignCase(
        name="a bar far above the target fills at its level",
        rules=rules(units=1, stop=0.01, target=0.03),
        table="""
        open high low close | signal | fills
        400  403  398 401   | buy    |
        400  404  398 399   |        | buy 1 @ 400 signal
        399  403  397 398   |        |
        398  450  397 449   |        | sell 1 @ 412 take_profit
        """,
    ),
    ForeignCase(
        name="a bar that reaches stop and target and closes between them is stopped",
        rules=rules(units=1, stop=0.02, target=0.05),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills
        400  403  398 401   | buy    |
        400  404  397 399   |        | buy 1 @ 400 signal
        399  425  388 404   |        | sell 1 @ 392 stop_loss
        """,
    ),
    ForeignCase(
        name="a bar that reaches the target only takes it",
        rules=rules(units=1, stop=0.02, target=0.03),
        table="""
        open high low close | signal | fills
        400  403  398 401   | buy    |
        400  404  397 399   |        | buy 1 @ 400 signal
        399  425  394 404   |        | sell 1 @ 412 take_profit
        """,
    ),
]

TRAILING = [
    ForeignCase(
        name="a high raises the trailing stop, which the next bar hits",
        rules=rules(units=1, stop=0.1, trail=0.1, target=0.2),
        table="""
        open high low close | signal | fills
        400  404  396 400   | buy    |
        400  404  396 400   |        | buy 1 @ 400 signal
        400  420  380 388   |        |
        388  400  370 385   |        | sell 1 @ 378 trailing_stop
        """,
    ),
    ForeignCase(
        name="a bar raises the trailing stop and falls below it",
        rules=rules(units=1, stop=0.1, trail=0.1, target=0.2),
        reason=OWN_BAR,
        table="""
        open high low close | signal | fills                      | there
        400  404  396 400   | buy    |                            |
        400  404  396 400   |        | buy 1 @ 400 signal         | buy 1 @ 400 signal
        400  404  396 400   |        |                            |
        400  420  372 390   |        |                            | sell 1 @ 378 trailing_stop
        385  390  350 380   |        | sell 1 @ 378 trailing_stop |
        """,
    ),
    ForeignCase(
        name="a gain short of the offset leaves the first stop",
        rules=rules(units=1, stop=0.1, trail=0.03, trail_from=0.1, target=0.2),
        table="""
        open high low close | signal | fills
        400  404  396 400   | buy    |
        400  408  396 408   |        | buy 1 @ 400 signal
        408  421  408 408   |        |
        388  404  372 380   |        |
        380  396  348 380   |        | sell 1 @ 360 stop_loss
        """,
    ),
    ForeignCase(
        name="an open below the raised stop, in a bar that comes back to it",
        rules=rules(units=1, stop=0.1, trail=0.03, trail_from=0.05, target=0.2),
        reason=GAP,
        # 424 × 0.97.
        table="""
        open high low close | signal | fills                      | there
        400  404  396 400   | buy    |                            |
        400  408  396 408   |        | buy 1 @ 400 signal         | buy 1 @ 400 signal
        413  424  412 414   |        |                            |
        400  415  372 380   |        | sell 1 @ 400 trailing_stop | sell 1 @ 411.28 trailing_stop
        """,
    ),
    ForeignCase(
        name="a bar reaches the offset and falls below the stop that this raises",
        rules=rules(units=1, stop=0.1, trail=0.03, trail_from=0.05, target=0.2),
        reason=OWN_BAR,
        table="""
        open high low close | signal | fills                      | there
        400  404  396 400   | buy    |                            |
        400  408  396 408   |        | buy 1 @ 400 signal         | buy 1 @ 400 signal
        408  424  372 408   |        |                            | sell 1 @ 411.28 trailing_stop
        388  404  372 380   |        | sell 1 @ 388 trailing_stop |
        """,
    ),
]

SAME_BAR = [
    ForeignCase(
        name="the target is reached in the bar of an entry at its open",
        rules=rules(units=1, stop=0.1, target=0.01),
        table="""
        open high low close | signal | fills
        400  404  396 400   | buy    |
        400  408  396 407   |        | buy 1 @ 400 signal ; sell 1 @ 404 take_profit
        408  420  388 408   |        |
        """,
    ),
    ForeignCase(
        name="the stop is reached in the bar of an entry at its open",
        rules=rules(units=1, stop=0.05, target=0.1),
        table="""
        open high low close | signal | fills
        400  404  396 400   | buy    |
        400  408  368 407   |        | buy 1 @ 400 signal ; sell 1 @ 380 stop_loss
        408  420  388 408   |        |
        """,
    ),
    ForeignCase(
        name="target in the bar of one entry, and a signal there whose entry is stopped in the next",
        rules=rules(units=1, stop=0.05, target=0.01),
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills
        400  404  396 400   | buy    |
        400  408  396 408   | buy    | buy 1 @ 400 signal ; sell 1 @ 404 take_profit
        408  420  372 408   |        | buy 1 @ 408 signal ; sell 1 @ 387.6 stop_loss
        388  404  380 380   |        |
        """,
    ),
]

AGES = [
    ForeignCase(
        name="any price is taken from an age inside a bar",
        rules=rules(units=1, stop=0.1, targets=[(0.1, None), (-1, None, 2)]),
        reason=WHOLE_BARS + " and exits at the bar's low",
        table="""
        open high low close | signal | fills                    | there
        400  402  398 399   | buy    |                          |
        400  402  398 399   |        | buy 1 @ 400 signal       | buy 1 @ 400 signal
        399  424  396 404   |        |                          |
        398  400  395 397   |        | sell 1 @ 398 take_profit | sell 1 @ 395 take_profit
        """,
    ),
    ForeignCase(
        name="any price is taken from an age of whole bars, at the open",
        rules=rules(units=1, stop=0.1, targets=[(0.1, None), (-1, None, 2)]),
        table="""
        open high low close | signal | fills
        400  402  398 399   | buy    |
        400  402  398 399   |        | buy 1 @ 400 signal
        399  424  396 404   |        |
        399  400  395 397   |        | sell 1 @ 399 take_profit
        """,
    ),
    ForeignCase(
        name="a target falls with age below the open, which fills it",
        rules=rules(units=1, stop=0.1, targets=[(0.1, None), (0.01, None, 2)]),
        table="""
        open high low close | signal | fills
        400  402  398 399   | buy    |
        400  402  398 399   |        | buy 1 @ 400 signal
        399  424  396 416   |        |
        416  418  395 397   |        | sell 1 @ 416 take_profit
        """,
    ),
    ForeignCase(
        name="a target falls with age to a level above the open",
        rules=rules(units=1, stop=0.1, targets=[(0.1, None), (0.01, None, 2)]),
        table="""
        open high low close | signal | fills
        400  402  398 399   | buy    |
        400  402  398 399   |        | buy 1 @ 400 signal
        399  424  396 416   |        |
        400  424  395 397   |        | sell 1 @ 404 take_profit
        """,
    ),
    ForeignCase(
        name="a target falls at an age inside a bar that opens above it",
        rules=rules(units=1, stop=0.1, targets=[(0.1, None), (0.01, None, 2)]),
        reason=WHOLE_BARS + " and exits at the new level",
        table="""
        open high low close | signal | fills                    | there
        400  402  398 399   | buy    |                          |
        400  402  398 399   |        | buy 1 @ 400 signal       | buy 1 @ 400 signal
        399  424  396 416   |        |                          |
        416  424  395 397   |        | sell 1 @ 416 take_profit | sell 1 @ 404 take_profit
        """,
    ),
]

TARGET_AND_TRAILING = [
    ForeignCase(
        name="a bar takes the target before the trailing stop that it would raise and hit",
        rules=rules(units=1, stop=0.1, trail=0.03, trail_from=0.05, target=0.04),
        table="""
        open high low close | signal | fills
        400  404  396 400   | buy    |
        400  408  396 408   |        | buy 1 @ 400 signal
        408  424  372 408   |        | sell 1 @ 416 take_profit
        388  404  372 380   |        |
        """,
    ),
    ForeignCase(
        name="a bar takes the target before the trailing stop that it would raise",
        rules=rules(units=1, stop=0.1, trail=0.03, trail_from=0.05, target=0.04),
        table="""
        open high low close | signal | fills
        400  404  396 400   | buy    |
        400  408  396 408   |        | buy 1 @ 400 signal
        413  424  412 414   |        | sell 1 @ 416 take_profit
        388  404  372 380   |        |
        """,
    ),
    ForeignCase(
        name="short: a bar takes the target before the trailing stop that it would lower",
        rules=rules(units=1, stop=0.1, trail=0.03, trail_from=0.05, target=0.04, direction=SHORT),
        table="""
        open high low close | signal | fills
        400  404  396 400   | sell   |
        400  404  392 392   |        | sell 1 @ 400 signal
        392  392  379 391   |        | buy 1 @ 384 take_profit
        388  404  372 380   |        |
        """,
    ),
    ForeignCase(
        name="a target that falls with age meets a raised stop that the open has passed",
        rules=rules(units=1, stop=0.1, trail=0.03, trail_from=0.05, targets=[(0.1, None), (0.03, None, 2)]),
        reason="the open comes first and fills the stop; freqtrade takes a target before a trailing stop",
        table="""
        open high low close | signal | fills                      | there
        400  404  396 400   | buy    |                            |
        400  408  396 408   |        | buy 1 @ 400 signal         | buy 1 @ 400 signal
        413  424  412 414   |        |                            |
        388  424  372 380   |        | sell 1 @ 388 trailing_stop | sell 1 @ 412 take_profit
        """,
    ),
]

SIGNALS = [
    ForeignCase(
        name="the stop is hit in the bar of the sell signal",
        rules=rules(units=1, stop=0.01),
        table="""
        open high low close | signal | fills
        400  403  398 401   | buy    |
        400  402  398 399   |        | buy 1 @ 400 signal
        399  401  399 399   |        |
        401  401  388 401   | sell   | sell 1 @ 396 stop_loss
        401  402  398 400   |        |
        """,
    ),
    ForeignCase(
        name="the sell signal's open comes before the stop of its bar",
        rules=rules(units=1, stop=0.01),
        table="""
        open high low close | signal | fills
        400  403  398 401   | buy    |
        400  402  398 399   |        | buy 1 @ 400 signal
        399  401  399 399   |        |
        401  401  399 401   | sell   |
        401  401  388 400   |        | sell 1 @ 401 signal
        """,
    ),
    ForeignCase(
        name="leverage: the sell signal's open comes before the stop of its bar",
        rules=rules(units=1, stop=0.01, leverage=5),
        table="""
        open high low close | signal | fills
        400  403  398 401   | buy    |
        400  402  398 399   |        | buy 1 @ 400 signal
        399  401  399 399   |        |
        401  401  399 401   | sell   |
        401  401  388 400   |        | sell 1 @ 401 signal
        """,
    ),
    ForeignCase(
        name="leverage, short: the buy signal's open comes before the stop of its bar",
        rules=rules(units=1, stop=0.01, leverage=5, direction=SHORT),
        table="""
        open high low close | signal | fills
        400  403  398 401   | sell   |
        400  402  398 399   |        | sell 1 @ 400 signal
        399  401  399 399   |        |
        401  401  399 401   | buy    |
        399  406  388 400   |        | buy 1 @ 399 signal
        """,
    ),
    ForeignCase(
        name="the target is reached in the bar of the sell signal",
        rules=rules(units=1, stop=0.1, target=0.05),
        table="""
        open high low close | signal | fills
        400  403  398 401   | buy    |
        400  402  398 399   |        | buy 1 @ 400 signal
        399  401  399 399   |        |
        401  421  399 401   | sell   | sell 1 @ 420 take_profit
        401  402  388 400   |        |
        """,
    ),
    ForeignCase(
        name="the sell signal's open comes before the target of its bar",
        rules=rules(units=1, stop=0.1, target=0.05),
        table="""
        open high low close | signal | fills
        400  403  398 401   | buy    |
        400  402  398 399   |        | buy 1 @ 400 signal
        399  401  399 399   |        |
        401  402  399 401   | sell   |
        401  421  388 400   |        | sell 1 @ 401 signal
        """,
    ),
]

TRAILING_AGAIN = [
    ForeignCase(
        name="a bar wholly below the raised stop fills at its open",
        rules=rules(units=1, stop=0.1, trail=0.03, trail_from=0.05, target=0.2),
        table="""
        open high low close | signal | fills
        400  404  396 400   | buy    |
        400  408  396 408   |        | buy 1 @ 400 signal
        413  424  412 414   |        |
        388  404  372 380   |        | sell 1 @ 388 trailing_stop
        """,
    ),
    ForeignCase(
        name="short: a bar wholly above the lowered stop fills at its open",
        rules=rules(units=1, stop=0.1, trail=0.03, trail_from=0.05, target=0.2, direction=SHORT),
        # 376 × 1.03 = 387.28, above the high of 387.
        table="""
        open high low close | signal | fills
        400  404  396 400   | sell   |
        400  404  386 386   |        | sell 1 @ 400 signal
        386  387  376 386   |        |
        412  428  396 396   |        | buy 1 @ 412 trailing_stop
        """,
    ),
    ForeignCase(
        name="the bar that hits a trailing stop does not raise it",
        rules=rules(units=1, stop=0.1, trail=0.03, target=0.2),
        # 404 × 0.97.
        table="""
        open high low close | signal | fills
        400  404  396 400   | buy    |
        400  404  400 400   |        | buy 1 @ 400 signal
        392  420  360 408   |        | sell 1 @ 391.88 trailing_stop
        """,
    ),
    ForeignCase(
        name="a trailing stop is hit in the bar of the entry, at its distance from the open",
        rules=rules(units=1, stop=0.1, trail=0.01, target=0.1),
        table="""
        open high low close | signal | fills
        400  404  396 400   | buy    |
        400  436  392 392   |        | buy 1 @ 400 signal ; sell 1 @ 396 trailing_stop
        392  420  360 408   |        |
        """,
    ),
    ForeignCase(
        name="the bar of the entry reaches the offset and falls",
        rules=rules(units=1, stop=0.1, trail=0.01, trail_from=0.02, target=0.1),
        reason=ENTRY_BAR,
        table="""
        open high low close | signal | fills                      | there
        400  404  396 400   | buy    |                            |
        400  436  392 392   |        | buy 1 @ 400 signal         | buy 1 @ 400 signal ; sell 1 @ 404 trailing_stop
        392  420  360 408   |        | sell 1 @ 392 trailing_stop |
        """,
    ),
    ForeignCase(
        name="a trailing stop from the entry on, in a bar that ends just above it",
        rules=rules(units=1, stop=0.01, trail=0.01, target=0.1),
        reason=AT_LOW,
        table="""
        open high low   close | signal | fills                      | there
        400  404  396   400   | buy    |                            |
        400  436  396.1 400   |        | buy 1 @ 400 signal         | buy 1 @ 400 signal ; sell 1 @ 396.1 trailing_stop
        392  420  360   408   |        | sell 1 @ 392 trailing_stop |
        """,
    ),
    ForeignCase(
        name="the same of an entry that carries a tag",
        rules=rules(units=1, stop=0.01, trail=0.01, target=0.1),
        reason=AT_LOW + "; entries carry no tags",
        table="""
        open high low   close | signal | fills                      | there
        200  202  198   200   | buy    |                            |
        200  218  198.2 200   |        | buy 1 @ 200 signal         | buy 1 @ 200 signal ; sell 1 @ 198.2 trailing_stop
        196  210  180   204   |        | sell 1 @ 196 trailing_stop |
        """,
    ),
    ForeignCase(
        name="short: the same of an entry that carries a tag",
        rules=rules(units=1, stop=0.01, trail=0.01, target=0.1, direction=SHORT),
        reason=AT_LOW + "; entries carry no tags",
        table="""
        open high  low close | signal | fills                     | there
        400  404   396 400   | sell   |                           |
        400  403.9 364 400   |        | sell 1 @ 400 signal       | sell 1 @ 400 signal ; buy 1 @ 403.9 trailing_stop
        392  420   360 408   |        | buy 1 @ 392 trailing_stop |
        """,
    ),
]

LIMIT_ENTRIES = [
    ForeignCase(
        name="a limit below the next bar expires, and a later bar does not fill it",
        rules=rules(units=1, entry=LIMIT, offset=0.16, stop=0.01, target=0.1),
        table="""
        open high low close | signal | fills
        400  404  396 400   | buy    |
        400  440  396 400   |        |
        392  420  330 408   |        |
        """,
    ),
    missing("a limit above all prices buys at the high of its bar", BEYOND_MARKET),
    missing("short: a limit below all prices sells at the low of its bar", BEYOND_MARKET),
    ForeignCase(
        name="a limit filled in a falling bar that closes below the target waits for the next bar",
        rules=rules(units=1, entry=LIMIT, offset=0.01, stop=0.1, target=0.01),
        # 396 × 1.01.
        ambiguous_bars=1,
        table="""
        open high low close | signal | fills
        400  404  396 400   | buy    |
        400  436  395 399   |        | buy 1 @ 396 limit
        392  420  360 408   |        | sell 1 @ 399.96 take_profit
        """,
    ),
    ForeignCase(
        name="a limit filled in a falling bar that closes above the target takes it there",
        rules=rules(units=1, entry=LIMIT, offset=0.01, stop=0.1, target=0.01),
        table="""
        open high low close | signal | fills
        400  404  396 400   | buy    |
        432  440  395 408   |        | buy 1 @ 396 limit ; sell 1 @ 399.96 take_profit
        392  420  360 408   |        |
        """,
    ),
    missing("an exit's limit below all prices sells at the low of its bar", EXIT_BEYOND_MARKET),
    ForeignCase(
        name="an exit's limit above all prices never fills, and the end closes the position",
        rules=rules(units=1, exit=ExitType.LIMIT, exit_offset=0.25, at_end=True),
        table="""
        open high low close | signal | fills
        200  202  198 200   | buy    |
        200  203  199 200   | sell   | buy 1 @ 200 signal
        201  209  197 204   |        |
        204  206  201 205   |        | sell 1 @ 205 end
        """,
    ),
    ForeignCase(
        name="short: an exit's limit below all prices never fills, and the end closes the position",
        rules=rules(units=1, exit=ExitType.LIMIT, exit_offset=0.25, at_end=True, direction=SHORT),
        table="""
        open high low close | signal | fills
        200  202  198 200   | sell   |
        200  203  199 200   | buy    | sell 1 @ 200 signal
        199  203  191 196   |        |
        196  199  193 194   |        | buy 1 @ 194 end
        """,
    ),
    ForeignCase(
        # The two conditions are true in `test_rules_that_enter_both_ways_give_no_signal`.
        name="signals for a long and a short at one bar enter nothing",
        rules=rules(units=1, stop=0.1, target=0.1, direction=BOTH),
        table="""
        open high low close | signal | fills
        400  404  396 400   |        |
        400  440  396 400   |        |
        392  420  392 408   |        |
        """,
    ),
    ForeignCase(
        name="a limit that waits moves up to a price that fills, and a signal closes it",
        rules=rules(units=1, entry=LIMIT, offset=0.1, life=5, reprice=True, stop=0.2),
        # 360, then 396 from the close of 440.
        table="""
        open high low close | signal | fills
        400  404  396 400   | buy    |
        400  440  396 440   |        |
        440  441  390 408   |        | buy 1 @ 396 limit
        408  408  372 380   | sell   |
        380  396  348 380   |        | sell 1 @ 380 signal
        """,
    ),
    ForeignCase(
        name="short: a limit that waits moves down to a price that fills, and a signal closes it",
        rules=rules(units=1, entry=LIMIT, offset=0.1, life=5, reprice=True, stop=0.2, direction=SHORT),
        # 440, then 418 from the close of 380.
        table="""
        open high low close | signal | fills
        400  404  396 400   | sell   |
        400  416  380 380   |        |
        390  420  389 400   |        | sell 1 @ 418 limit
        408  408  372 380   | buy    |
        380  396  348 380   |        | buy 1 @ 380 signal
        """,
    ),
    ForeignCase(
        name="a limit that the strategy withdraws is not filled later",
        rules=rules(units=1, entry=LIMIT, offset=0.1, life=10, stop=0.01, target=0.1),
        table="""
        open high low close | signal     | fills
        400  404  396 400   | buy        |
        400  440  396 400   | close long |
        392  420  350 408   |            |
        """,
    ),
    ForeignCase(
        name="a limit that moves and stays out of reach expires when the first one would have",
        rules=rules(units=1, entry=LIMIT, offset=0.1, life=2, reprice=True, stop=0.01),
        # 360, then 369 from the close of 410.
        table="""
        open high low close | signal | fills
        400  404  396 400   | buy    |
        400  440  396 410   |        |
        408  420  375 408   |        |
        408  408  350 380   |        |
        """,
    ),
    ForeignCase(
        name="a limit that has moved fills in a bar that also reaches its stop",
        rules=rules(units=1, entry=LIMIT, offset=0.1, life=5, reprice=True, stop=0.03),
        # 396 × 0.97.
        table="""
        open high low close | signal | fills
        400  404  396 400   | buy    |
        400  440  396 440   |        |
        440  441  360 408   |        | buy 1 @ 396 limit ; sell 1 @ 384.12 stop_loss
        """,
    ),
    ForeignCase(
        name="short: a limit that has moved fills in a bar that also reaches its stop",
        rules=rules(units=1, entry=LIMIT, offset=0.1, life=5, reprice=True, stop=0.03, direction=SHORT),
        # 418 × 1.03.
        table="""
        open high low close | signal | fills
        400  404  396 400   | sell   |
        400  416  380 380   |        |
        390  440  389 400   |        | sell 1 @ 418 limit ; buy 1 @ 430.54 stop_loss
        """,
    ),
]

REVERSALS = [
    ForeignCase(
        name="a long meets a short signal alone, then one with an exit",
        rules=rules(units=1, stop=0.1, target=0.1, direction=BOTH),
        reason=ONE_SIGNAL,
        table="""
        open high low close | signal      | fills                                      | there
        400  404  396 400   | buy         |                                            |
        400  400  396 400   |             | buy 1 @ 400 signal                         | buy 1 @ 400 signal
        393  412  393 408   | sell        |                                            |
        408  408  396 396   | sell        | sell 1 @ 408 signal ; sell 1 @ 408 signal  |
        400  408  396 396   | close short |                                | sell 1 @ 400 signal ; sell 1 @ 400 signal
        401  408  396 396   |             | buy 1 @ 401 signal                         | buy 1 @ 401 signal
        """,
    ),
    ForeignCase(
        name="a short meets a long signal alone, then one with an exit",
        rules=rules(units=1, stop=0.1, target=0.1, direction=BOTH),
        reason=ONE_SIGNAL,
        table="""
        open high low close | signal     | fills                                    | there
        400  404  396 400   | sell       |                                          |
        400  400  396 400   | buy        | sell 1 @ 400 signal                      | sell 1 @ 400 signal
        393  412  393 408   | buy        | buy 1 @ 393 signal ; buy 1 @ 393 signal  |
        408  408  396 396   |            |                                    | buy 1 @ 408 signal ; buy 1 @ 408 signal
        400  408  396 396   | close long |                                          |
        401  408  396 396   |            | sell 1 @ 401 signal                      | sell 1 @ 401 signal
        """,
    ),
    ForeignCase(
        name="a short signal before the bar that stops the long",
        rules=rules(units=1, stop=0.02, target=0.1, direction=BOTH),
        reason=ONE_SIGNAL + "; after the stop it enters the short at the open of the same bar, before the stop",
        table="""
        open high low close | signal | fills                                   | there
        400  404  396 400   | buy    |                                         |
        400  400  396 400   |        | buy 1 @ 400 signal                      | buy 1 @ 400 signal
        393  412  393 408   | sell   |                                         |
        408 408 391 396 |      | sell 1 @ 408 signal; sell 1 @ 408 signal |sell 1 @ 392 stop_loss;sell 1 @ 408 signal
        400  408  396 396   | close short |                                    |
        401  408  396 396   |        | buy 1 @ 401 signal                      | buy 1 @ 401 signal
        """,
    ),
]

BY_CODE = [
    missing(
        "an addition that does not fill is withdrawn for a partial exit",
        "additions and partial exits by code: they lie at distances from the mean entry price",
    ),
    ForeignCase(
        name="short: an exit's limit is moved by each signal until it fills",
        rules=rules(units=1, exit=ExitType.LIMIT, exit_offset=0.05, direction=SHORT),
        table="""
        open high low close | signal | fills
        200  202  198 200   | sell   |
        200  203  199 200   | buy    | sell 1 @ 200 signal
        200  222  192 220   | buy    |
        220  224  212 220   | buy    |
        220  222  209 215   |        | buy 1 @ 209 signal
        """,
    ),
    ForeignCase(
        name="an exit's limit is moved by each signal until it fills",
        rules=rules(units=1, exit=ExitType.LIMIT, exit_offset=0.05),
        table="""
        open high low close | signal | fills
        200  202  198 200   | buy    |
        200  203  199 200   | sell   | buy 1 @ 200 signal
        200  208  178 180   | sell   |
        180  186  175 180   | sell   |
        180  190  177 185   |        | sell 1 @ 189 signal
        """,
    ),
]

CASES: Final = (
    *STOPS_AND_TARGETS,
    *TRAILING,
    *SAME_BAR,
    *AGES,
    *TARGET_AND_TRAILING,
    *SIGNALS,
    *TRAILING_AGAIN,
    *LIMIT_ENTRIES,
    *REVERSALS,
    *BY_CODE,
)
