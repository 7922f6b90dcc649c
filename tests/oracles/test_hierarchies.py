"""Tables of superclasses agree with their sources, and a user's own are read as they are meant or refused."""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from glasshouse.hierarchies import CIFAR10Kinds, CIFAR100Superclasses, HierarchyFile, ImageNetSuperclasses
from glasshouse.hierarchies.cifar import KINDS, SUPERCLASSES, plain
from glasshouse.hierarchies.reading import LARGEST, names_in
from glasshouse.hierarchy import NOWHERE, Hierarchies, Hierarchy, grouped, outside
from glasshouse.models import SmallCNN
from glasshouse.spec import fits
from glasshouse.types import Architecture

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PETS = ("cat", "dog", "car", "ship", "7")
NUMBERS = tuple(map(str, range(1000)))


def members(hierarchy: Hierarchy) -> dict[str, set[str]]:
    return {
        name: {hierarchy.fine[k] for k in group} for name, group in zip(hierarchy.coarse, hierarchy.groups, strict=True)
    }


def numbers(hierarchy: Hierarchy) -> dict[str, list[int]]:
    return {name: sorted(group) for name, group in zip(hierarchy.coarse, hierarchy.groups, strict=True)}


# the tables


def test_a_hierarchy_is_no_network_and_a_network_no_hierarchy() -> None:
    for component in (CIFAR10Kinds(), CIFAR100Superclasses(), ImageNetSuperclasses(), HierarchyFile("a.json")):
        assert fits(component, Hierarchies) and not fits(component, Architecture)
    assert fits(SmallCNN(), Architecture) and not fits(SmallCNN(), Hierarchies)


@pytest.mark.parametrize(
    ("component", "table", "count"), [(CIFAR100Superclasses(), SUPERCLASSES, 100), (CIFAR10Kinds(), KINDS, 10)]
)
def test_classes_of_cifar_are_found_by_name_in_any_order_and_spelling(
    component: Any, table: dict[str, tuple[str, ...]], count: int
) -> None:
    order = sorted(name for group in table.values() for name in group)
    shuffled = random.Random(0).sample(order, count)
    spelled = [name.replace(" ", "_").upper() if i % 2 else f" {name.title()} " for i, name in enumerate(shuffled)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = component(spelled)
        by_number = component(NUMBERS[:count])
    assert found.fine == tuple(spelled) and found.covered == count
    assert {k: {plain(n) for n in v} for k, v in members(found).items()} == {k: set(v) for k, v in table.items()}
    assert {k: {order[int(n)] for n in v} for k, v in members(by_number).items()} == {
        k: set(v) for k, v in table.items()
    }


def test_cifar_by_hand() -> None:
    assert numbers(CIFAR10Kinds()(CIFAR10)) == {"animals": [2, 3, 4, 5, 6, 7], "vehicles": [0, 1, 8, 9]}
    found = CIFAR100Superclasses()(NUMBERS[:100])
    assert {len(group) for group in found.groups} == {5} and len(found.coarse) == 20
    assert numbers(found)["people"] == [2, 11, 35, 46, 98] and numbers(found)["trees"] == [47, 52, 56, 59, 96]


def test_classes_that_are_not_cifars_are_refused_or_warned_of() -> None:
    with pytest.raises(ValueError, match="of CIFAR-10 are for its 10 classes, not for 9"):
        CIFAR10Kinds()(CIFAR10[1:])
    with pytest.raises(ValueError, match="its 10 classes, and 'monkey' is none of them"):
        CIFAR10Kinds()([*CIFAR10[1:], "monkey"])
    with pytest.raises(ValueError, match="its 10 classes, and one is there twice"):
        CIFAR10Kinds()([*CIFAR10[1:], "truck"])
    with pytest.warns(UserWarning, match="no class is called as in CIFAR-10, such as 'Flugzeug'"):
        found = CIFAR10Kinds()(["Flugzeug", *NUMBERS[1:10]])
    assert numbers(found)["vehicles"] == [0, 1, 8, 9]


def test_superclasses_of_cifar_100_are_those_of_its_files(shared_data: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    file = next((shared_data / "cifar100").glob("test*.parquet"), None)
    if file is None:
        pytest.skip("no cifar100/test*.parquet in the shared data")
    table = parquet.read_table(file, columns=["fine_label", "coarse_label"])
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    fine, coarse = (features[f"{level}_label"]["names"] for level in ("fine", "coarse"))
    found = CIFAR100Superclasses()(fine)
    assert [plain(name) for name in coarse] == list(found.coarse)
    labels = [torch.tensor(table.column(f"{level}_label").to_numpy()) for level in ("fine", "coarse")]
    assert torch.equal(found.parents[labels[0]], labels[1]) and len(labels[0].unique()) == 100
    assert torch.equal(CIFAR100Superclasses()(NUMBERS[:100]).parents, found.parents)


COUNTS = {"fish": 16, "bird": 59, "reptile": 36, "clothes": 49, "food": 27, "vehicle": 67, "dog": 118}
COUNTS["electrical device"] = 21
# From the beginning, the middle and the end of each; and what is near and not in it.
INSIDE = {
    "fish": ("tench", "stingray", "barracouta", "puffer"),
    "bird": ("cock", "great grey owl", "black grouse", "black swan", "white stork", "albatross", "macaw"),
    "reptile": ("loggerhead", "triceratops", "sidewinder", "African crocodile"),
    "clothes": ("abaya", "bow tie", "sock", "kimono", "Windsor tie", "miniskirt"),
    "food": ("French loaf", "mashed potato", "banana", "meat loaf", "mushroom", "pretzel"),
    "vehicle": ("airliner", "canoe", "unicycle", "tank", "space shuttle", "yawl", "pickup", "streetcar"),
    "dog": ("Chihuahua", "golden retriever", "Siberian husky", "Mexican hairless"),
    "electrical device": ("laptop", "loudspeaker", "modem", "television", "cellular telephone", "joystick"),
}
NOWHERE_IN_IT = (
    *("tusker", "European fire salamander", "spotted salamander", "trilobite", "timber wolf", "dingo", "tabby"),
    *("grey whale", "sea lion", "cheeseburger", "pizza", "espresso", "toaster", "volcano", "jellyfish"),
)


def test_superclasses_of_imagenet_are_as_many_as_in_the_paper() -> None:
    found = ImageNetSuperclasses()(NUMBERS)
    assert {name: len(group) for name, group in zip(found.coarse, found.groups, strict=True)} == COUNTS
    assert found.covered == sum(COUNTS.values()) == 393 and int((found.parents == NOWHERE).sum()) == 607
    assert all(list(group) == sorted(group) for group in found.groups)


def test_superclasses_of_imagenet_by_well_known_numbers() -> None:
    found = ImageNetSuperclasses()(NUMBERS)
    first_and_last = {
        "fish": (0, 6, 389, 397),  # tench, stingray, barracouta, puffer
        "bird": (7, 24, 80, 100, 127, 146),  # cock, great grey owl, black grouse, black swan, white stork, albatross
        "reptile": (33, 68),  # loggerhead, sidewinder
        "clothes": (399, 906),  # abaya, Windsor tie
        "food": (930, 932, 935, 957, 962),  # French loaf, pretzel, mashed potato, pomegranate, meat loaf
        "vehicle": (403, 914),  # aircraft carrier, yawl
        "dog": (151, 268),  # Chihuahua, Mexican hairless
        "electrical device": (482, 851),  # cassette player, television
    }
    for name, places in first_and_last.items():
        assert set(places) <= set(numbers(found)[name]), name
    # fire salamander, newt, tailed frog, trilobite, tusker, jellyfish, isopod, grey whale, sea lion, timber wolf,
    # lesser and giant panda, abacus, ice lolly, cheeseburger, hotdog, pizza
    near = [25, 26, 32, 69, 101, 107, 126, 147, 150, 269, 387, 388, 398, 929, 933, 934, 963]
    assert set(found.parents[near].tolist()) == {NOWHERE}


def test_the_order_of_wordnet_numbers() -> None:
    numbered = [f"n{10_000_000 + 7 * i}" for i in range(1000)]
    assert ImageNetSuperclasses()(numbered).covered == 393
    with pytest.raises(ValueError, match="WordNet numbers: n10006993 does not come before n10000000"):
        ImageNetSuperclasses()([numbered[-1], *numbered[:-1]])


@pytest.fixture
def imagenet(shared_data: Path) -> dict[str, list[str]]:
    file = shared_data / "imagenet-sample" / "classes.json"
    if not file.is_file():
        pytest.skip("no imagenet-sample/classes.json in the shared data")
    found: dict[str, list[str]] = json.loads(file.read_text())
    return found


def test_superclasses_of_imagenet_hold_what_belongs_there(shared_data: Path, imagenet: dict[str, list[str]]) -> None:
    found = ImageNetSuperclasses()(imagenet["name"])
    held = members(found)
    for name, inside in INSIDE.items():
        assert set(inside) <= held[name], name
    everywhere = set().union(*held.values())
    assert set(NOWHERE_IN_IT) <= set(imagenet["name"]) and not everywhere.intersection(NOWHERE_IN_IT)
    words = {"shark": "fish", "snake": "reptile", "terrier": "dog", "spaniel": "dog", "truck": "vehicle"}
    for word, name in words.items():
        assert {n for n in imagenet["name"] if n.split()[-1] == word} <= held[name], word
    told = json.loads((shared_data / "imagenet-sample" / "coarse-8-superclasses.json").read_text())["classes"]
    assert numbers(found) == told
    by_wnid = ImageNetSuperclasses()(imagenet["wnid"])
    assert all("n02085620" <= wnid <= "n02113978" for wnid in members(by_wnid)["dog"])
    assert torch.equal(by_wnid.parents, found.parents)


def test_another_order_of_imagenet_is_refused(imagenet: dict[str, list[str]]) -> None:
    hierarchy = ImageNetSuperclasses()
    swapped = [*imagenet["wnid"][1::-1], *imagenet["wnid"][2:]]
    with pytest.raises(ValueError, match="WordNet numbers: n01443537 does not come before n01440764"):
        hierarchy(swapped)
    for order in (sorted(imagenet["name"]), imagenet["name"][::-1]):
        with pytest.raises(ValueError, match=r"WordNet numbers: \w[\w ]* is class \d+, not \d+$"):
            hierarchy(order)
    as_written = [f"{name}, of {i}" for i, name in enumerate(imagenet["name"])]
    assert hierarchy(as_written).covered == 393
    assert hierarchy([f"{w} {n}" for w, n in zip(imagenet["wnid"], imagenet["name"], strict=True)]).covered == 393


def test_imagenet_is_1000_classes() -> None:
    with pytest.raises(ValueError, match=r"for the 1000 classes of ILSVRC-2012 in the order .* not for 10 classes"):
        ImageNetSuperclasses()(NUMBERS[:10])
    with pytest.raises(ValueError, match="goldfish is class 1, not 0"):
        ImageNetSuperclasses()(["Goldfish, Carassius auratus", *NUMBERS[1:]])


# a user's own


@pytest.fixture
def written(tmp_path: Path) -> Any:
    def write(content: str | bytes, name: str = "groups.json", **fields: Any) -> HierarchyFile:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return HierarchyFile(str(tmp_path / name), **fields)

    return write


def test_files_name_classes_or_number_them(written: Any) -> None:
    meant = {"animals": [0, 1], "others": [2, 3, 4]}
    for content, name in (
        ('{"animals": ["cat", "dog"], "others": ["car", " ship ", "7"]}', "a.json"),
        ('\ufeff{"animals": [1, "0"], "others": [2, "ship", 4]}', "b.JSON"),
        ("class,superclass\ncat,animals\ncar,others\ndog,animals\nship,others\n7,others\n", "a.csv"),
        ('\ufeffClass , superclass\r\n"cat","animals"\r\n\r\n1,animals\r\n2, others\r\n3,others\r\n4,others', "b.csv"),
        ("superclass,class\nanimals,cat\nanimals,dog\nothers,2\nothers,3\nothers,4\n", "c.csv"),
        ('{"note": "mine", "classes": {"animals": [0, 1], "others": [2, 3, 4]}}', "c.json"),
    ):
        found = written(content, name)(PETS)
        assert numbers(found) == meant and found.fine == PETS, name
    assert list(written('{"b": ["cat", 2], "a": ["dog", 3, 4]}')(PETS).coarse) == ["b", "a"]


def test_a_name_that_is_a_number_goes_before_the_number(written: Any) -> None:
    assert numbers(written('{"a": ["2"], "b": ["0", "1"]}')(("2", "0", "1"))) == {"a": [0], "b": [1, 2]}
    assert numbers(written('{"a": [2], "b": [0, 1]}')(("2", "0", "1"))) == {"a": [2], "b": [0, 1]}


def test_only_a_partial_hierarchy_leaves_classes_out(written: Any) -> None:
    content = '{"animals": ["cat", "dog"], "ships": ["ship"]}'
    with pytest.raises(ValueError, match=r"groups.json: 2 classes are in no superclass, first 2 \('car'\); partial=T"):
        written(content)(PETS)
    found = written(content, partial=True)(PETS)
    assert found.parents.tolist() == [0, 0, NOWHERE, 1, NOWHERE]
    assert outside(torch.tensor([0, 2, -1, 4, 3]), found).tolist() == [False, True, False, True, False]
    without_first = grouped({"a": [1], "b": [2]}, PETS, partial=True)
    assert outside(torch.tensor([0, -1, 1]), without_first).tolist() == [True, False, False]


def test_names_from_a_file_are_for_classes_that_are_only_numbered(written: Any, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("\n".join(PETS))
    hierarchy = written('{"a": ["cat", "dog"], "b": ["car", "ship", "7"]}', classes=str(names))
    assert hierarchy(NUMBERS[:5]).fine == PETS and numbers(hierarchy(NUMBERS[:5])) == {"a": [0, 1], "b": [2, 3, 4]}
    own = ("dog", "car", "ship", "7", "cat")
    assert hierarchy(own).fine == own and numbers(hierarchy(own)) == {"a": [0, 4], "b": [1, 2, 3]}
    with pytest.raises(ValueError, match=r"names.txt names 5 classes, and there are 6"):
        hierarchy(NUMBERS[:6])


GROUPS = '{"a": ["cat", "dog"], "b": %s}'


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "groups.json cannot be read as JSON: Expecting"),
        ("", "groups.json cannot be read as JSON"),
        (b"\xff\xfe{}", "groups.json cannot be read as JSON: it is no text in UTF-8"),
        ("[" * 200_000, "groups.json cannot be read as JSON"),
        ('{"a":' * 200_000, "groups.json cannot be read as JSON"),
        (" " * (LARGEST + 1), "groups.json cannot be read as JSON: it is larger than 4 MB"),
        (f'{{"a": [{"9" * 5000}]}}', "groups.json cannot be read as JSON"),
        ("[]", "groups.json holds no hierarchy, that is, a JSON object of lists"),
        ("3", "groups.json holds no hierarchy"),
        ('{"a": "cat", "b": ["dog"]}', "groups.json holds no hierarchy"),
        ('{"a": {"cat": 1}, "b": ["dog"]}', "groups.json holds no hierarchy"),
        (GROUPS % "[true]", "classes of 'b' are names or whole numbers, not of type bool"),
        (GROUPS % "[2.0]", "classes of 'b' are names or whole numbers, not of type float"),
        (GROUPS % "[NaN]", "not of type float"),
        (GROUPS % "[null]", "not of type NoneType"),
        (GROUPS % '[["car"]]', "not of type list"),
        (GROUPS % '[{"car": 1, "car": 2}]', "cannot be read as JSON: 'car' is there twice"),
        ('{"a": ["cat"], "b": ["dog"], "a": [2, 3, 4]}', "cannot be read as JSON: 'a' is there twice"),
        (GROUPS % '["car", 3, 4], "": ["ship"]', "groups.json: '' is no name of a superclass"),
        (GROUPS % '["car", 3, 4], "\\ud800": [1]', r"groups.json: '\\ud800' is no name of a superclass"),
        (GROUPS % '["car", "car", 3, 4]', r"groups.json: class 2 \('car'\) is in the hierarchy 2 times"),
        (GROUPS % "[2, 3, 4, 0]", r"groups.json: class 0 \('cat'\) is in the hierarchy 2 times"),
        (GROUPS % "[2, 3]", r"groups.json: 1 classes are in no superclass, first 4 \('7'\)"),
        (GROUPS % "[]", "groups.json: superclass 'b' has no classes"),
        ('{"a": [0, 1, 2, 3, 4]}', "groups.json: a hierarchy needs at least 2 superclasses, not 1"),
        (GROUPS % "[5]", "groups.json: a hierarchy names class 5, and there are classes 0 to 4"),
        (GROUPS % "[-1]", "groups.json: a hierarchy names class -1"),
        (GROUPS % '["99999999999999999999"]', "there is no class '99999999999999999999'"),
        (GROUPS % '["shipp"]', "groups.json: there is no class 'shipp'; there are, among others: ship$"),
        (GROUPS % '["\\u0663"]', "there is no class '\u0663'; there are, among others: cat, dog, car, ship, 7$"),
    ],
)
def test_a_file_of_json_that_is_not_as_it_should_be(content: str | bytes, sentence: str, written: Any) -> None:
    refused(sentence, written(content), PETS)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "the first line of .*groups.csv is: class,superclass"),
        ("superclass,cat\na,cat", "the first line of .*groups.csv is: class,superclass"),
        ("class;superclass\ncat;a", "the first line of .*groups.csv is: class,superclass"),
        ("class,superclass\ncat,a\ndog", "line 3 of .*groups.csv is no class,superclass"),
        ("class,superclass\ncat,a,b", "line 2 of .*groups.csv is no class,superclass"),
        ("class,superclass\ncat, ", "line 2 of .*groups.csv is no class,superclass"),
        ('class,superclass\n"cat"x,a', "line 2 of .*groups.csv cannot be read as CSV"),
        ('class,superclass\n"cat,a', "line 2 of .*groups.csv cannot be read as CSV"),
        (f"class,superclass\n{'c' * 200_000},a", "line 2 of .*groups.csv cannot be read as CSV: field larger"),
        (b"class,superclass\n\xe4,a", "groups.csv cannot be read as CSV: it is no text in UTF-8"),
        ("class,superclass\ncat,a\ncat,b\n", r"groups.csv: class 0 \('cat'\) is in the hierarchy 2 times"),
        ("class,superclass\ncat,a\ndg,b\n", "groups.csv: there is no class 'dg'; there are, among others: dog$"),
        ("class,superclass\ncat,a\ndog,\x1b[31m\n", "is no name of a superclass"),
    ],
)
def test_a_file_of_csv_that_is_not_as_it_should_be(content: str | bytes, sentence: str, written: Any) -> None:
    refused(sentence, written(content, "groups.csv"), PETS)


def refused(sentence: str, hierarchy: HierarchyFile, names: Sequence[str]) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        hierarchy(names)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_name_of_several_classes_is_refused_and_their_numbers_are_not(written: Any) -> None:
    names = ("crane", "dog", "crane", "ship")
    refused(
        "several classes are called 'crane', so give the number of one: 0, 2",
        written('{"a": ["crane"], "b": [3]}'),
        names,
    )
    refused("no class 'crano'; there are, among others: crane$", written('{"a": ["crano"], "b": [3]}'), names)
    found = written('{"birds": [0, "dog"], "machines": [2, "ship"]}')(names)
    assert numbers(found) == {"birds": [0, 1], "machines": [2, 3]}


def test_files_that_are_not_there_or_end_otherwise(tmp_path: Path) -> None:
    for path in ("groups.yaml", "groups", "groups.json.txt", ""):
        with pytest.raises(ValueError, match=r"HierarchyFile: path ends in .json or .csv, not '.*'$"):
            HierarchyFile(path)
    refused(r"no such file: .*none.json", HierarchyFile(str(tmp_path / "none.json")), PETS)
    (tmp_path / "folder.json").mkdir()
    refused(r"no such file: .*folder.json", HierarchyFile(str(tmp_path / "folder.json")), PETS)


def test_names_of_classes_are_lines_or_a_list(tmp_path: Path) -> None:
    file, lines = tmp_path / "names.json", tmp_path / "names.txt"
    file.write_text('["a ", "b"]')
    lines.write_bytes("\ufeffä\r\nb".encode())
    assert names_in(file) == ("a", "b") and names_in(lines) == ("ä", "b")
    for content in ('["a"]', '["a", ""]', '{"a": 1, "b": 2}', '["a", 1]'):
        file.write_text(content)
        with pytest.raises(ValueError, match=r"names.json holds no names of classes, that is, a JSON list"):
            names_in(file)
    lines.write_bytes(b"a\n\xff\nb")
    with pytest.raises(ValueError, match=r"names.txt cannot be read as names of classes: it is no text in UTF-8"):
        names_in(lines)


def test_a_hierarchy_is_the_same_however_it_is_given(written: Any) -> None:
    by_file = written(json.dumps({name: list(group) for name, group in KINDS.items()}))(CIFAR10)
    assert members(by_file) == members(CIFAR10Kinds()(CIFAR10))
    places = {name: [CIFAR10.index(k) for k in group] for name, group in KINDS.items()}
    assert grouped(places, CIFAR10) == by_file
