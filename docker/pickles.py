"""Read a pickle as data: every opcode is obeyed by this module or refused, and nothing that the pickle names is called.

A pickle is a program. The standard library's Unpickler would run it with harmless stand-ins for what it names, but some
programs of a few hundred bytes keep it busy for ever before it returns: a key whose hash goes through forty shared levels,
a list that is copied a million times. Here each opcode has a cost, and keys are words and small numbers.
Format: Lib/pickletools.py of CPython, which decodes the opcodes; their meanings: Lib/pickle.py.
"""

from __future__ import annotations

import pickletools
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from stage import Budget, Refused
from text import visible

OPCODES_MAX = 2_000_000  # a yolov8x with its optimiser has 150,000; each takes a microsecond
CLASSES_MAX = 1_000  # names that a pickle may use; checkpoints of ultralytics use 30
NAME_MAX = 200  # characters of a class with its module
INTEGER_BITS_MAX = 128  # no setting is longer; Python does not print integers of more than 4,300 digits
KEY_BITS_MAX = 60  # two larger keys can have one hash, and many such make a dictionary slow

# What a checkpoint of ultralytics may name: its own modules, torch's, and what train_args and metrics hold.
# `models` is the package of YOLOv5, which is refused later, by that name.
KNOWN_PACKAGES = frozenset(
    [
        "torch",
        "torchvision",
        "ultralytics",
        "models",
        "collections",
        "numpy",
        "pathlib",
        "datetime",
        "types",
        "argparse",
        "_codecs",
        "copyreg",
    ]
)
KNOWN_BUILTINS = frozenset(
    [
        "set",
        "frozenset",
        "list",
        "dict",
        "tuple",
        "object",
        "int",
        "float",
        "complex",
        "bool",
        "str",
        "bytes",
        "slice",
        "getattr",
    ]
)

CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
CONTAINERS: dict[str, Callable[[], Any]] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set}
# Opcodes whose argument is the value; those of Python 2's str hold bytes.
INTEGERS = frozenset(["INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"])
TEXTS = frozenset(["STRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"])
PLAIN = TEXTS | frozenset(["FLOAT", "BINFLOAT", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8"])
OLD_STRINGS = frozenset(["SHORT_BINSTRING", "BINSTRING"])
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
PUTS, GETS = frozenset(["PUT", "BINPUT", "LONG_BINPUT"]), frozenset(["GET", "BINGET", "LONG_BINGET"])


class Inert:
    """An object that the pickle asked for: how it was made and what was put into it, and nothing more."""

    args: Any = ()
    state: Any = None

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__name__}>"


class Machine:
    """Runs one pickle. `meanings` has a function for the few names that mean something, `load` one for persistent ids."""

    def __init__(
        self, where: object, hint: str, meanings: dict[tuple[str, str], Callable[..., Any]], load: Callable[[Any], Any]
    ) -> None:
        self.where, self.hint, self.meanings, self.load = where, hint, meanings, load
        self.steps = Budget(where, OPCODES_MAX, "opcodes in its pickle", hint)
        self.names = Budget(where, CLASSES_MAX, "classes named in its pickle", hint)
        self.classes: dict[tuple[str, str], type[Inert]] = {}
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # the stacks under each mark
        self.memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        """What the pickle leaves on its stack; raises Refused, or any error at all for what is no pickle."""
        for opcode, argument, _ in pickletools.genops(data):
            self.steps.spend()
            self.obey(opcode.name, argument)
        return self.stack.pop()

    def obey(self, name: str, argument: Any) -> None:
        """One opcode: values are pushed, the memo read and written; `make` and `fill` do the rest."""
        push = self.stack.append
        if name in CONSTANTS:
            push(CONSTANTS[name])
        elif name in CONTAINERS:
            push(CONTAINERS[name]())
        elif name in INTEGERS:
            push(small(argument))
        elif name in PLAIN:
            push(argument)
        elif name in OLD_STRINGS:
            push(argument.encode("latin-1").decode("utf-8"))
        elif name in GETS:
            push(self.memo[argument])
        elif name in PUTS:
            self.memo[argument] = self.stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = self.stack[-1]
        elif name == "MARK":
            self.below.append(self.stack)
            self.stack = []
        elif name not in ("PROTO", "FRAME", "STOP") and not self.fill(name):
            made = self.make(name, argument)  # it pops what it needs, and a mark gives another stack
            self.stack.append(made)

    def fill(self, name: str) -> bool:
        """Opcodes that change or drop what is on the stack; False if this is none of them."""
        if name in ("APPENDS", "SETITEMS", "ADDITEMS", "POP_MARK"):
            items = self.since_mark()
        elif name in ("APPEND", "BUILD", "POP"):
            items = [self.stack.pop()]
        elif name == "SETITEM":
            items = [self.stack.pop(), self.stack.pop()][::-1]
        else:
            return False
        if name in ("POP", "POP_MARK"):
            return True
        target = self.stack[-1]
        if isinstance(target, Inert):  # a list or a dictionary of torch's: only its attributes matter
            target.state = items[0] if name == "BUILD" else target.state
        elif name in ("APPEND", "APPENDS"):
            expect(target, list).extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            expect(target, dict).update(paired(items))
        elif name == "ADDITEMS":
            expect(target, set).update(map(key, items))
        return True

    def make(self, name: str, argument: Any) -> Any:
        """Opcodes that make one value of what is on the stack."""
        if name in TUPLES:
            return tuple([self.stack.pop() for _ in range(TUPLES[name])][::-1])
        if name in ("TUPLE", "LIST", "DICT", "FROZENSET"):
            items = self.since_mark()
            kinds: dict[str, Callable[[list[Any]], Any]] = {"TUPLE": tuple, "LIST": list, "DICT": paired}
            return kinds[name](items) if name in kinds else frozenset(map(key, items))
        if name == "DUP":
            return self.stack[-1]
        if name == "GLOBAL":
            return self.find(*argument.split(" ", 1))
        if name == "STACK_GLOBAL":
            last, module = self.stack.pop(), self.stack.pop()
            return self.find(expect(module, str), expect(last, str))
        if name in ("REDUCE", "NEWOBJ"):
            args, function = self.stack.pop(), self.stack.pop()
            return self.call(function, expect(args, tuple))
        if name == "NEWOBJ_EX":
            _, args, function = self.stack.pop(), self.stack.pop(), self.stack.pop()
            return self.call(function, expect(args, tuple))
        if name == "BINPERSID":
            return self.load(self.stack.pop())
        raise ValueError(f"opcode {name}, which torch.save does not write")

    def since_mark(self) -> list[Any]:
        """What was pushed since the last mark, which goes."""
        items, self.stack = self.stack, self.below.pop()
        return items

    def find(self, module: str, name: str) -> Any:
        """The meaning of a name: a function of ours, or an inert class; unknown packages are a reason to refuse."""
        module = "builtins" if module == "__builtin__" else module
        known = name in KNOWN_BUILTINS if module == "builtins" else module.split(".")[0] in KNOWN_PACKAGES
        if not known or len(module) + len(name) > NAME_MAX:
            full = visible(f"{module}.{name}")
            full = full if len(full) <= NAME_MAX else f"{full[:NAME_MAX]}…"
            raise Refused(f"{self.where}: names '{full}', which no checkpoint of ultralytics does: not read", self.hint)
        if (module, name) in self.meanings:
            return self.meanings[module, name]
        if (module, name) not in self.classes:
            self.names.spend()
            self.classes[module, name] = type(name, (Inert,), {"__module__": module})
        return self.classes[module, name]

    def call(self, function: Any, args: tuple[Any, ...]) -> Any:
        """Write down that a class was called, or call a function of ours; a long list of arguments is paid for."""
        if isinstance(function, type) and issubclass(function, Inert):
            made = object.__new__(function)
            made.args = args
            return made
        if not any(function is meaning for meaning in self.meanings.values()):
            raise ValueError("calls what is no function")
        self.steps.spend(len(args))
        self.steps.spend(
            sum(len(arg) for arg in args if isinstance(arg, (list, tuple, dict, set, frozenset, str, bytes)))
        )
        return function(*args)


def expect(value: Any, kind: type) -> Any:
    """The value, which must be of this kind."""
    if not isinstance(value, kind):
        raise ValueError(f"a {type(value).__name__} where a {kind.__name__} belongs")
    return value


def small(number: int) -> int:
    """An integer that can be printed."""
    if number.bit_length() > INTEGER_BITS_MAX:
        raise ValueError(f"an integer of {number.bit_length():,} bits")
    return number


def key(value: Any) -> Any:
    """A key of a dictionary or a member of a set: a word, a number or an object; the hash of a tuple can take for ever."""
    if isinstance(value, int) and value.bit_length() > KEY_BITS_MAX:
        raise ValueError(f"a key of {value.bit_length()} bits")
    if value is None or isinstance(value, (str, int, float, bytes, Inert, type)):
        return value
    raise ValueError(f"a {type(value).__name__} as a key")


def paired(items: list[Any]) -> dict[Any, Any]:
    """A dictionary from [key, value, key, value, …]."""
    return {key(name): value for name, value in zip(items[::2], items[1::2], strict=True)}


def make_ordered(pairs: Iterable[Any] = ()) -> OrderedDict[Any, Any]:
    """What collections.OrderedDict does."""
    return OrderedDict((key(name), value) for name, value in pairs)


def make_set(items: Iterable[Any] = ()) -> set[Any]:
    """What the class set does."""
    return set(map(key, items))
