"""What was trained, judged, scored and served is the same reading, tried with a model that answers what it has read."""

from __future__ import annotations

import dataclasses
import html
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow.pyfunc
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature

from facetmill.dataset.labels.splitting import split_shards
from facetmill.dataset.store import workspace
from facetmill.dataset.store.readers import as_read_by, as_sent, read_pictures
from facetmill.dataset.store.reading import reading_data
from facetmill.dataset.store.version import Dataset
from facetmill.encoders.pictures import data_uri
from facetmill.errors import NoAnswer, PlatformError
from facetmill.files import hash_file, read_json, write_json
from facetmill.judging.challenge import Served
from facetmill.judging.measure import asked_about
from facetmill.params import OcrParams, Params, RegionsParams, load_params, to_mapping
from facetmill.params.perception import ReaderSettings
from facetmill.perception.reader import Reader
from facetmill.platform.layout import Layout
from facetmill.records import Box, Facet, OcrToken, Product, read_products, to_batch
from facetmill.registry.versions import Resolved
from facetmill.report import page
from facetmill.report.marked_text import marked
from facetmill.runs.score import evaluate_reference, extract_to_file
from facetmill.runs.train import Recipe, build_model, training_id
from facetmill.serving import package
from facetmill.serving.answer import to_entries
from facetmill.serving.package import INPUT_EXAMPLE, requirements
from facetmill.serving.query import query
from facetmill.serving.request import to_row
from facetmill.serving.signature import PUBLISHED, SIGNATURE
from facetmill.serving.smoke import smoke_test
from facetmill.training.checkpoint import load_model, save_model
from tests import drawn, parrot, small
from tests.fuzzing import examples
from tests.stand_in import stand_in

OCR = OcrParams(engine="rapidocr", images="all", longest_side=320, min_confidence=0.5, workers=1)
REGIONS = RegionsParams(kind="proposals", at_most=3, min_confidence=0.05, max_overlap=0.7, longest_side=128, workers=1)
GIVEN = Product(
    "given",
    "s",
    "lines\u2028that JSON\x85does not break",
    images=("ingested/1.png",),
    ocr=(OcrToken("SENCHA", Box(0.1, 0.2, 0.3, 0.4)), OcrToken("tea")),
)


@dataclass(frozen=True)
class World:
    """A dataset whose pictures were read, and a model trained on it, saved and packaged."""

    project: Any
    dataset: Dataset
    model_dir: Path
    package: Path

    @property
    def products(self) -> list[Product]:
        """As the model was trained on them."""
        return list(self.dataset.read("test"))

    @property
    def sent(self) -> list[Product]:
        return as_sent(self.dataset, self.products)


@pytest.fixture(scope="module")
def parrot_is_a_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        stand_in(patch, parrot.KEY, parrot.PLACE, tmp_path_factory.mktemp("parrot"))
        yield


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, root: Path, parrot_is_a_model: None) -> World:
    layout = Layout(tmp_path_factory.mktemp("project"))
    params = load_params(root / "params.yaml")
    params = dataclasses.replace(params, ocr=OCR, regions=REGIONS, promotion=small.PROMOTION)
    data = layout.root / "shop"
    data.mkdir()
    for number, words in enumerate(("Green Sencha", "Net Weight")):
        (data / f"{number}.png").write_bytes(drawn.encoded(pack(words).resize((320, 160))))
    (data / "2.png").write_bytes(b"no picture")
    rows = [
        {"id": "first", "title": "first", "image": "0.png"},
        {"id": "second", "title": "second", "image": "1.png"},
        {"id": "broken", "title": "broken", "image": "2.png"},
        {"id": "bare", "title": "bare"},
    ]
    pd.DataFrame(rows).to_json(data / "shop.jsonl", orient="records", lines=True)
    params = workspace.resolve(layout.root, params, f"products:{data / 'shop.jsonl'}")
    dataset = built(workspace.workspace_dir(layout.root, params), data, params)
    tracker = SimpleNamespace(uri=f"sqlite:///{layout.root / 'none.db'}")
    project = SimpleNamespace(layout=layout, params=params, tracker=tracker)
    model = build_model(dataset, Recipe(parrot.KEY, small.DICTIONARY, small.TRAINING), list(dataset.read("train")))
    save_model(model, layout.root / "model")
    return World(project, dataset, layout.root / "model", packed(layout.root, layout.root / "model", SIGNATURE))


def pack(words: str) -> Any:
    first, second = words.split()
    return drawn.pack({first: (40, 40), second: (40, 180)})


def built(folder: Path, data: Path, params: Params) -> Dataset:
    """What the stages leave in a workspace, all of it in the test split and the answers of the parrot as the truth."""
    (folder / "ingested").mkdir(parents=True)
    for path in data.glob("*.png"):
        shutil.copy(path, folder / "ingested")
    names = {"first": ("0", "1"), "second": ("1",), "broken": ("2",), "bare": ()}
    products = [Product(n, "s", n, images=tuple(f"ingested/{i}.png" for i in images)) for n, images in names.items()]
    pq.write_table(pa.Table.from_batches([to_batch([*products, GIVEN])]), folder / "ingested" / "part-00000.parquet")
    settings = ReaderSettings(ocr=params.ocr, regions=params.regions)
    located = read_pictures(Reader(settings), folder / "ingested", folder / "cache", workers=1)
    told = [dataclasses.replace(p, facets=tuple(truth(p))) for p in read_products(located)]
    (folder / "matched").mkdir()
    pq.write_table(pa.Table.from_batches([to_batch(told)]), folder / "matched" / "part-00000.parquet")
    split_shards(folder / "matched", folder / "dataset", dataclasses.replace(small.SPLIT, validation=0.0, test=0.99))
    (folder / "params.yaml").write_text(yaml.safe_dump(to_mapping(params)))
    return Dataset.open(folder)


def truth(product: Product) -> list[Facet]:
    return [dataclasses.replace(facet, provenance="annotated", confidence=None) for facet in parrot.said(product)]


def packed(folder: Path, model_dir: Path, signature: ModelSignature) -> Path:
    mlflow.pyfunc.save_model(
        folder / "package",
        python_model=str(package.MODEL_FILE),
        artifacts={"model": str(model_dir)},
        signature=signature,
        input_example=INPUT_EXAMPLE,
        pip_requirements=requirements(),
    )
    return folder / "package"


def said(products: Sequence[Product]) -> dict[str, set[tuple[str, str]]]:
    return {product.product_id: pairs(parrot.said(product)) for product in products}


def pairs(facets: Sequence[Facet]) -> set[tuple[str, str]]:
    return {(facet.attribute, facet.value) for facet in facets}


def test_it_was_trained_on_what_stands_on_the_packs(world: World) -> None:
    found = {name: dict(answers) for name, answers in said(world.products).items()}
    assert {name: answers.get("Words", "") for name, answers in found.items()} == {
        "first": "Green Sencha Net Weight",
        "second": "Net Weight",
        "broken": "",
        "bare": "",
        "given": "SENCHA tea",
    }
    assert [name for name, answers in found.items() if "Regions" in answers] != []
    assert "Regions" not in found["broken"]


def test_another_way_to_read_is_another_training_even_of_the_same_words(world: World, tmp_path: Path) -> None:
    recipe = Recipe("jave", small.JAVE, small.TRAINING)
    ids = {}
    for name, ocr in {
        "same": OCR,
        "faster": dataclasses.replace(OCR, workers=2),
        "stricter": dataclasses.replace(OCR, min_confidence=0.6),
    }.items():
        (tmp_path / name).mkdir()
        params = to_mapping(dataclasses.replace(world.project.params, ocr=ocr))
        (tmp_path / name / "params.yaml").write_text(yaml.safe_dump(params))
        ids[name] = training_id(dataclasses.replace(world.dataset, dir=tmp_path / name), recipe)
    assert ids["same"] == ids["faster"] == training_id(world.dataset, recipe)
    assert ids["stricter"] != ids["same"]


def test_the_package_says_the_same_whether_it_is_given_words_and_boxes_or_looks_itself(world: World) -> None:
    """In a process of its own, as a server has it."""
    expected = said(world.products)
    assert said(world.sent) != expected, "a shop sends less than that"
    for products, looked in ((world.products, True), (world.sent, False)):
        answers = query(str(world.package), products, tracking_uri="sqlite://", looked=looked, timed=())
        assert {p.product_id: pairs(f) for p, f in zip(products, answers.facets, strict=True)} == expected


def test_the_package_reads_paths_bytes_and_data_uris_alike(world: World) -> None:
    served = mlflow.pyfunc.load_model(str(world.package))
    [product] = [product for product in world.sent if product.product_id == "first"]
    files = [Path(image).read_bytes() for image in product.images]
    row = to_row(product)
    kinds = [row, row | {"images": files}, row | {"images": [data_uri(file) for file in files]}]
    answers = [served.predict(pd.DataFrame([each])).to_dict("records")[0]["facets"] for each in kinds]
    assert answers[0] == answers[1] == answers[2]
    assert {(f["attribute"], f["value"]) for f in answers[0]} == said(world.products)["first"]
    [one] = served.predict(pd.DataFrame([{"product_id": "p", "title": "", "text": "", "image": product.images[0]}]))[
        "facets"
    ]
    assert ("Words", "Green Sencha") in {(facet["attribute"], facet["value"]) for facet in one}


def test_the_judge_asks_with_what_the_model_would_see(world: World) -> None:
    """Of its own dataset, and of one that was read by nobody: as in service, it reads the pictures itself."""
    model = Served(Resolved("facets-candidates/1", version=1, tags={"facetmill.model": parrot.KEY}), world.package)
    expected = said(world.products)
    answers = asked_about(world.project, world.dataset, model, world.products)
    assert {p.product_id: pairs(f) for p, f in zip(world.products, answers.facets, strict=True)} == expected
    assert answers.latency.p95 > 0

    bare = world.project.layout.root / "data" / "read-by-nobody"
    (bare / "dataset").mkdir(parents=True)
    params = dataclasses.replace(
        world.project.params,
        ocr=dataclasses.replace(OCR, engine=None),
        regions=dataclasses.replace(REGIONS, kind=None),
    )
    (bare / "params.yaml").write_text(yaml.safe_dump(to_mapping(params)))
    unread = dataclasses.replace(world.dataset, dir=bare)
    read = as_read_by(model.reader, unread, world.sent, world.project.layout.state_dir, workers=1)
    assert said(list(read)) == expected


def test_evaluate_and_extract_read_as_the_model_was_taught(world: World, tmp_path: Path) -> None:
    ref = str(world.model_dir)
    assert evaluate_reference(world.project, ref, "test")["pair_f1"] == 1.0
    done = extract_to_file(world.project, ref, tmp_path / "facets.jsonl")
    assert done["products"] == 4
    lines = map(json.loads, (tmp_path / "facets.jsonl").read_text().rstrip("\n").split("\n"))
    found = {line["product_id"]: {(f["attribute"], f["value"]) for f in line["facets"]} for line in lines}
    expected = said(world.products)
    assert found["second"] == expected["second"]
    assert found["bare"] == expected["bare"]
    assert ("Words", "Green Sencha") in found["first"], "of the one picture that the file has of it"


class Text(HTMLParser):
    """What a page shows, and the elements that it has."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.shown, self.elements = "", set[str]()
        self.feed(page)
        self.close()

    def handle_data(self, data: str) -> None:
        self.shown += data

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.elements.add(tag)


LINE_BREAKS = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\x1dh\x1ei\rj\nk\ufeffl"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@examples(3)
@given(titles=st.lists(TEXTS, min_size=1, max_size=30))
@example(titles=[LINE_BREAKS, "<script>alert(1)</script>", "\u202egnp.exe", "\0", " "])
def test_any_text_that_a_reader_accepts_goes_the_whole_way(world: World, tmp_path: Path, titles: list[str]) -> None:
    """Read, asked about in a process of its own, extracted, and shown; what is not accepted is counted."""
    titles = [*titles, "plain"]  # data without any good row is refused
    shop = tmp_path / "shop.jsonl"
    shop.write_text("".join(json.dumps({"id": str(i), "title": t}) + "\n" for i, t in enumerate(titles)))
    params = workspace.resolve(world.project.layout.root, world.project.params, f"products:{shop}")
    params = dataclasses.replace(params, dataset=dataclasses.replace(params.dataset, max_bad_share=1.0))
    with reading_data(params) as (read, report):
        products = list(read)
    assert len(products) + sum(report.dropped.values()) == len(titles)
    assert [product.title for product in products] == [titles[int(product.product_id)] for product in products]
    answers = query(str(world.package), products, tracking_uri="sqlite://", timed=())
    assert {p.product_id: pairs(f) for p, f in zip(products, answers.facets, strict=True)} == said(products)

    project = SimpleNamespace(**{**vars(world.project), "params": params})
    extract_to_file(project, str(world.model_dir), tmp_path / "facets.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "facets.jsonl").read_text().split("\n") if line]
    found = {line["product_id"]: {(f["attribute"], f["value"]) for f in line["facets"]} for line in lines}
    assert found == said(products)

    for product in products:
        shown = Text(marked("title", product.title, {"a": to_entries(parrot.said(product)[-1])}))
        assert shown.elements <= {"mark", "span", "b"}
        assert page.text(product.title) == html.escape(shown.shown[: len(product.title)])


def test_a_wrong_request_and_a_missing_engine_are_told_in_words(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    served = mlflow.pyfunc.load_model(str(world.package))
    rows = [to_row(product) for product in world.sent]
    rows[1]["regions"] = [{"box": {"left": 0, "top": 0, "right": 2, "bottom": 1}}]
    place = rf"row 1, product '{rows[1]['product_id']}', field regions\[0\].box.right: 2: not a share"
    with pytest.raises(MlflowException, match=place) as error:
        served.predict(pd.DataFrame(rows))
    assert error.value.get_http_status_code() == 400
    monkeypatch.setattr("facetmill.perception.ocr_engines.find_spec", lambda name: None)
    served = mlflow.pyfunc.load_model(str(world.package))
    with pytest.raises(MlflowException, match=r"OCR engine rapidocr is not installed: pip install 'facetmill\[ocr\]'"):
        served.predict(pd.DataFrame([to_row(product) for product in world.sent]))
    served.predict(pd.DataFrame([to_row(product, looked=True) for product in world.products]))


def test_nothing_is_written_when_the_engine_is_missing(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = tmp_path / "model"
    model = load_model(world.model_dir)
    model.reader = Reader(ReaderSettings(ocr=dataclasses.replace(OCR, engine="tesseract")))
    save_model(model, saved)
    monkeypatch.setattr(shutil, "which", lambda program: None)
    with pytest.raises(PlatformError, match="OCR engine tesseract is not installed: apt-get install tesseract-ocr"):
        extract_to_file(world.project, str(saved), tmp_path / "facets.jsonl")
    assert not (tmp_path / "facets.jsonl").exists()


def test_the_smoke_test_has_the_model_look_at_a_picture(world: World, tmp_path: Path) -> None:
    smoke_test(str(world.package), "sqlite://")
    shutil.copytree(world.model_dir, tmp_path / "model")
    described, settings = (read_json(tmp_path / "model" / name) for name in ("model.json", "reader.json"))
    settings["regions"]["kind"] = str(tmp_path / "lost")
    write_json(tmp_path / "model" / "reader.json", settings)
    described["hashes"]["reader.json"] = hash_file(tmp_path / "model" / "reader.json")
    write_json(tmp_path / "model" / "model.json", described)
    broken = packed(tmp_path, tmp_path / "model", SIGNATURE)
    with pytest.raises(NoAnswer, match=r"regions\.kind = '.*lost': not grid"):
        smoke_test(str(broken), "sqlite://")


def test_a_package_of_before_answers_about_the_first_picture(world: World, tmp_path: Path) -> None:
    """It knows no lists; what it does not know of a row it does not see."""
    old = packed(tmp_path, world.model_dir, PUBLISHED[0])
    answers = query(str(old), world.products, tracking_uri="sqlite://", looked=True, timed=())
    found = {p.product_id: dict(pairs(f)) for p, f in zip(world.products, answers.facets, strict=True)}
    assert {name: answers.get("Pictures") for name, answers in found.items()} == {
        "first": "1", "second": "1", "broken": "1", "bare": "0", "given": "1"
    }  # fmt: skip
