"""Supervision: everything a user needs, from one place.

The rooms, from the ground up; each file begins with what it promises.

    kernel       one actor: its cell, its refs and its one death (cell), its mailbox, its loop; how
                 threads are made to end (stopping); and the values that actors are told by
                 (messages, reasons, errors, child_spec)
    threads      the threads that actors take turns on
    messaging    two actors: calls, names, links and monitors, timers, and rings of waits (deadlock)
    actors       what actors are made of: gen_server, task_actor, supervised pykka classes
    registry     names under any keys
    events       what supervisors report: as values, as a stream, in the log
    supervision  restart (all decisions, pure), and the supervisors that carry them out
    tasks        task, task_supervisor, agent
    inspect      tree, tracing, debugging, chaos
"""

from antq_actors.backoff import Backoff
from antq_actors.introspection import shown
from antq_actors.otp import events
from antq_actors.otp.actors.gen_server import GenServer
from antq_actors.otp.actors.supervised import supervised
from antq_actors.otp.events.stream import EventStream, Subscription, subscribe
from antq_actors.otp.inspect import chaos
from antq_actors.otp.inspect.debugging import get_state, resume, suspend, wait_until_restarted
from antq_actors.otp.inspect.tracing import Trace, trace
from antq_actors.otp.inspect.tree import Handling, Node, tree
from antq_actors.otp.kernel.cell import Exited, ServerRef
from antq_actors.otp.kernel.child_spec import (
    BRUTAL_KILL,
    AutoShutdown,
    ChildSpec,
    ChildType,
    Restart,
    ShutdownTime,
    Strategy,
)
from antq_actors.otp.kernel.errors import (
    AlreadyPresent,
    CallCycle,
    CallExit,
    CallTimeout,
    DuplicateChildId,
    MaxChildren,
    NotFound,
    OtpError,
    Restarting,
    Running,
    StartError,
    Stop,
    TaskExit,
    UnknownRegistry,
)
from antq_actors.otp.kernel.messages import IGNORE, NOREPLY, Continue, IdleTimeout
from antq_actors.otp.kernel.reasons import Crash, ExitReason, Killed, NoProc, Normal, Shutdown
from antq_actors.otp.kernel.stopping import orphans
from antq_actors.otp.messaging.calls import call, cast, reply, stop
from antq_actors.otp.messaging.links import (
    Down,
    Monitor,
    demonitor,
    link,
    monitor,
    trap_exit,
    unlink,
)

# By its own name, but not in __all__: there it would shadow the builtin of everyone who imports *.
from antq_actors.otp.messaging.links import exit as exit  # noqa: A004 - OTP's name; so it is typed
from antq_actors.otp.messaging.names import AlreadyRegistered, AlreadyStarted, Via, whereis
from antq_actors.otp.messaging.requests import Request, send_request
from antq_actors.otp.messaging.timers import Timer, cancel_timer, send_after
from antq_actors.otp.registry.registry import Registry
from antq_actors.otp.supervision.admin import RESTARTING, ChildInfo, Counts
from antq_actors.otp.supervision.dynamic import DynamicSupervisor
from antq_actors.otp.supervision.partition import PartitionSupervisor
from antq_actors.otp.supervision.restart import ChildState
from antq_actors.otp.supervision.supervisor import Supervisor
from antq_actors.otp.tasks.agent import Agent
from antq_actors.otp.tasks.task import Ok, Task, TaskResult
from antq_actors.otp.tasks.task_supervisor import TaskSupervisor

__all__ = [
    "BRUTAL_KILL",
    "IGNORE",
    "NOREPLY",
    "RESTARTING",
    "Agent",
    "AlreadyPresent",
    "AlreadyRegistered",
    "AlreadyStarted",
    "AutoShutdown",
    "Backoff",
    "CallCycle",
    "CallExit",
    "CallTimeout",
    "ChildInfo",
    "ChildSpec",
    "ChildState",
    "ChildType",
    "Continue",
    "Counts",
    "Crash",
    "Down",
    "DuplicateChildId",
    "DynamicSupervisor",
    "EventStream",
    "ExitReason",
    "Exited",
    "GenServer",
    "Handling",
    "IdleTimeout",
    "Killed",
    "MaxChildren",
    "Monitor",
    "NoProc",
    "Node",
    "Normal",
    "NotFound",
    "Ok",
    "OtpError",
    "PartitionSupervisor",
    "Registry",
    "Request",
    "Restart",
    "Restarting",
    "Running",
    "ServerRef",
    "Shutdown",
    "ShutdownTime",
    "StartError",
    "Stop",
    "Strategy",
    "Subscription",
    "Supervisor",
    "Task",
    "TaskExit",
    "TaskResult",
    "TaskSupervisor",
    "Timer",
    "Trace",
    "UnknownRegistry",
    "Via",
    "call",
    "cancel_timer",
    "cast",
    "chaos",
    "demonitor",
    "events",
    "get_state",
    "link",
    "monitor",
    "orphans",
    "reply",
    "resume",
    "send_after",
    "send_request",
    "stop",
    "subscribe",
    "supervised",
    "suspend",
    "trace",
    "trap_exit",
    "tree",
    "unlink",
    "wait_until_restarted",
    "whereis",
]


def __dir__() -> list[str]:
    return shown(globals(), "exit")
