"""Faults in tables of superclasses, in hierarchies from files, and in commands that read a network by one."""

from __future__ import annotations

from fault import Fault

TABLES, COMMANDS = "tests/oracles/test_hierarchies.py", "tests/stages/test_hierarchy_cli.py"
CIFAR, IMAGENET, FILE, READING = (f"hierarchies/{name}.py" for name in ("cifar", "imagenet", "file", "reading"))

FAULTS = [
    # tables
    Fault("a table of another order", CIFAR, "order = sorted(name", "order = list(name", TABLES),
    Fault("names only by number", CIFAR, "    if strange:\n", "    if True:\n", TABLES),
    Fault("spelling matters", CIFAR, "name.strip().casefold()", "name.strip()", TABLES),
    Fault("some strange names are taken", CIFAR, "if 0 < len(strange) < len(names) or", "if False or", TABLES),
    Fault("a name twice is taken", CIFAR, "not strange and len(places)", "False and len(places)", TABLES),
    Fault("numbers are warned of", CIFAR, "if not all(name.isdecimal() for name in names)", "if True", TABLES),
    Fault("another order of CIFAR is not told of", CIFAR, "            warnings.warn(", "            str(", COMMANDS),
    Fault("two fish swapped for others", IMAGENET, "*range(389, 398))", "*range(388, 397))", TABLES),
    Fault("one food too few", IMAGENET, "*range(935, 958), 962)", "*range(935, 958))", TABLES),
    Fault("another order of WordNet numbers", IMAGENET, "pair[0] >= pair[1]", "False", TABLES),
    Fault("another order of names", IMAGENET, "first[place] != name", "False", TABLES),
    Fault("any number of classes", IMAGENET, "if len(names) != CLASSES:", "if False:", TABLES),
    # files
    Fault("spreadsheets' mark is read", READING, '"utf-8-sig"', '"utf-8"', TABLES),
    Fault("a file of any size", READING, "if len(content) > LARGEST:", "if False:", TABLES),
    Fault("the last of two superclasses", READING, "        if name in found:\n", "        if False:\n", TABLES),
    Fault(
        "deep nesting is a traceback",
        READING,
        "object_pairs_hook=once)\n    except (ValueError, RecursionError) as error",
        "object_pairs_hook=once)\n    except ValueError as error",
        TABLES,
    ),
    Fault("true is class 1", READING, "if isinstance(k, bool) or not", "if not", TABLES),
    Fault("terminal codes in names", READING, "or not name.isprintable()", "", TABLES),
    Fault("columns in one order only", READING, 'cells[header.index("superclass")]', "cells[1]", TABLES),
    Fault("notes are superclasses", READING, 'found = found["classes"]', "pass", TABLES),
    Fault("a cell too many", READING, "len(cells) != 2 or", "len(cells) < 2 or", TABLES),
    Fault("open quotes are closed", READING, ", strict=True)\n    found", ")\n    found", TABLES),
    Fault("the number before the name", FILE, "    if at:\n", "    if at and not wanted.isdecimal():\n", TABLES),
    Fault("the first of two classes", FILE, "    if len(at) > 1:\n", "    if False:\n", TABLES),
    Fault("digits of any script", FILE, "if wanted.isascii() and", "if", TABLES),
    Fault("always partial", FILE, "partial=self.partial", "partial=True", TABLES),
    Fault(
        "names of the file before the model's",
        FILE,
        "if not self.classes or list",
        "if not self.classes and list",
        TABLES,
    ),
    Fault("files of names of any length", FILE, "    if len(called) != len(names):\n", "    if False:\n", TABLES),
    # commands
    Fault("a class in no superclass is attacked", "attack.py", "return y.masked_fill(lost, -1)", "return y", COMMANDS),
    Fault("it is not told", "attack.py", "        warnings.warn(", "        str(", COMMANDS),
    Fault(
        "the first class is always in a superclass", "hierarchy.py", "return (y >= 0) & (", "return (y > 0) & (", TABLES
    ),
    Fault("the hierarchy is forgotten", "cli/levels.py", "    if hierarchy is None:\n", "    if True:\n", COMMANDS),
    Fault("two hierarchies", "cli/levels.py", "    if isinstance(network, Hierarchical):", "    if False:", COMMANDS),
    Fault(
        "the report names the flat network",
        "cli/levels.py",
        "if hierarchy is None else",
        "if True else",
        COMMANDS,
    ),
    Fault("all images are measured", "cli/levels.py", "    return kept\n", "    return samples\n", COMMANDS),
    Fault("nothing is measured", "cli/levels.py", "    if not len(kept):\n", "    if False:\n", COMMANDS),
    Fault("any component is a hierarchy", "cli/levels.py", "if not fits(found, Hierarchies):", "if False:", COMMANDS),
    Fault("networks are hierarchies", "hierarchy.py", "__call__(self, names:", "__call__(self, classes:", COMMANDS),
]
