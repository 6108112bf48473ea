"""What can be done to the actors of a node: harm, once or again and again, and a trace of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from antq_actors.insights import fields
from antq_actors.insights.access import Access
from antq_actors.insights.chaos import Aim, do_chaos
from antq_actors.insights.chaos_plan import DEFAULT_EVERY_SECONDS, ChaosPlan
from antq_actors.insights.chaos_plan import DEFAULT_SECONDS as DEFAULT_RUN_SECONDS
from antq_actors.insights.chaos_runs import begin_run, stop_run
from antq_actors.insights.doing import Doer, Done
from antq_actors.insights.recordings import DEFAULT_MESSAGES, DEFAULT_SECONDS, start_recording
from antq_actors.otp.inspect.predict import HANG, SLOW

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antq_actors.otp.messaging.names import Destination


class TreeVerbs(Doer):
    """Does harm to actors, and traces them; *trees* are further roots in this process."""

    def chaos(
        self,
        verb: str,
        actor: object = None,
        node: object = None,
        *,
        seconds: object = None,
        reason: object = None,
        trees: Sequence[Destination] = (),
    ) -> Done:
        """Do harm to an actor: crash, exit, kill, or hang and slow for some *seconds*.

        The answer has the ``prediction``, what came of it as ``actual``, and whether that
        ``agrees``. Raises ChaosRefused where it cannot be done now, LookupError for an actor or a
        node that is not there, and NodeUnreachable.
        """
        self._visitor.check(Access.CHAOS)
        span = fields.seconds(seconds, "seconds")
        if span is not None and verb not in (HANG, SLOW):
            raise ValueError(f"seconds is for {HANG} and {SLOW}, and this is {verb}")
        aim = Aim(
            verb=verb,
            actor=fields.needed_text(actor, "actor"),
            node=fields.number(node, "node", 0),
            seconds=span,
        )
        why = fields.text(reason, "reason")
        found = do_chaos(self._source, self._visitor, aim, why, trees)
        more = {"prediction": found.prediction, "actual": found.actual, "agrees": found.agrees}
        return Done(changed=1, item=None, more=more)

    def begin_chaos_run(
        self,
        node: object = None,
        *,
        every: object = None,
        duration: object = None,
        reason: object = None,
        trees: Sequence[Destination] = (),
    ) -> Done:
        """Begin a chaos run: *every* so many seconds a random leaf crashes, for a *duration*.

        The item is its report, which ``Insights.chaos_run`` returns as it goes on.
        """
        self._visitor.check(Access.CHAOS)
        between, length = fields.seconds(every, "every"), fields.seconds(duration, "duration")
        plan = ChaosPlan(
            every=DEFAULT_EVERY_SECONDS if between is None else between,
            duration=DEFAULT_RUN_SECONDS if length is None else length,
        )
        run = begin_run(
            self._source,
            self._visitor,
            plan,
            node=fields.number(node, "node", 0),
            reason=fields.text(reason, "reason"),
            further=trees,
        )
        return Done(changed=1, item=run.report())

    def stop_chaos_run(
        self,
        node: object = None,
        *,
        reason: object = None,
        trees: Sequence[Destination] = (),
    ) -> Done:
        """Stop the chaos run of a node; the item is its report."""
        self._visitor.check(Access.CHAOS)
        number, why = fields.number(node, "node", 0), fields.text(reason, "reason")
        found = stop_run(self._source, self._visitor, number, why, trees)
        return Done(changed=1, item=found)

    def trace(
        self,
        actor: object = None,
        node: object = None,
        *,
        messages: object = None,
        seconds: object = None,
        reason: object = None,
        trees: Sequence[Destination] = (),
    ) -> Done:
        """Record what the actor does, until so many *messages* or *seconds* have passed.

        The item is the recording, which ``Insights.recording`` returns as it goes on.
        """
        self._visitor.check(Access.OPERATE)
        most = fields.number(messages, "messages")
        span = fields.seconds(seconds, "seconds")
        found = start_recording(
            self._source,
            self._visitor,
            fields.needed_text(actor, "actor"),
            node=fields.number(node, "node", 0),
            messages=DEFAULT_MESSAGES if most is None else most,
            seconds=DEFAULT_SECONDS if span is None else span,
            reason=fields.text(reason, "reason"),
            further=trees,
        )
        return Done(changed=1, item=found)
