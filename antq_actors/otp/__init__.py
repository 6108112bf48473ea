"""Supervision: everything a user needs, from one place.

The files, from the ground up; each begins with what it promises.

    words        messages  reasons  errors  via  child_spec  patience  doing
    one actor    process (its identity and its one death)  ref  mailbox  actor_loop  gen_server
                 lean_server  supervised  interruption  asks  current  forked  at_exit
    threads      threads (actors take turns on them)  wakeups  futexes  actor_registry (pykka's)
    two actors   calls  requests  waits (rings of calls)  links  monitors  watch  timers
    names        names  destinations  registry  registry_table  registry_locks
    supervision  restart (all decisions, pure)  backoff  supervisor_options
                 supervisor  dynamic_supervisor  admin  child_start  termination
    on top       task  task_ends  task_supervisor  task_map  agent  partition_supervisor
    the window   tree  events  event_stream  announce  report (the log)  tracing  debugging  chaos
                 abandoned
                 restart_waiter
"""

from antq_actors.exports import shown
from antq_actors.otp import chaos, events
from antq_actors.otp.abandoned import orphans
from antq_actors.otp.admin import RESTARTING, ChildInfo, Counts
from antq_actors.otp.agent import Agent
from antq_actors.otp.backoff import Backoff
from antq_actors.otp.calls import call, cast, reply, stop
from antq_actors.otp.child_spec import (
    BRUTAL_KILL,
    AutoShutdown,
    ChildSpec,
    ChildType,
    Restart,
    ShutdownTime,
    Strategy,
)
from antq_actors.otp.debugging import get_state, resume, suspend
from antq_actors.otp.dynamic_supervisor import DynamicSupervisor
from antq_actors.otp.errors import (
    AlreadyPresent,
    AlreadyRegistered,
    AlreadyStarted,
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
from antq_actors.otp.event_stream import EventStream, Subscription, subscribe
from antq_actors.otp.gen_server import GenServer

# By its own name, but not in __all__: there it would shadow the builtin of everyone who imports *.
from antq_actors.otp.links import exit as exit  # noqa: A004 - OTP's name; so it is typed
from antq_actors.otp.links import link, trap_exit, unlink
from antq_actors.otp.messages import IGNORE, NOREPLY, Continue, Down, Exited, IdleTimeout
from antq_actors.otp.monitors import Monitor, demonitor, monitor
from antq_actors.otp.names import whereis
from antq_actors.otp.partition_supervisor import PartitionSupervisor
from antq_actors.otp.reasons import Crash, ExitReason, Killed, NoProc, Normal, Shutdown
from antq_actors.otp.ref import ServerRef
from antq_actors.otp.registry import Registry
from antq_actors.otp.requests import Request, send_request
from antq_actors.otp.restart import ChildState
from antq_actors.otp.restart_waiter import wait_until_restarted
from antq_actors.otp.supervised import supervised
from antq_actors.otp.supervisor import Supervisor
from antq_actors.otp.task import Task
from antq_actors.otp.task_ends import Ok, TaskResult
from antq_actors.otp.task_supervisor import TaskSupervisor
from antq_actors.otp.timers import Timer, cancel_timer, send_after
from antq_actors.otp.tracing import Trace, trace
from antq_actors.otp.tree import Handling, Node, tree
from antq_actors.otp.via import Via

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
