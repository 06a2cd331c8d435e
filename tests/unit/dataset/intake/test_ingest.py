"""Ingest: what it drops, what it says, where it puts pictures, and that it leaves nothing half-done."""

from __future__ import annotations

import dataclasses
import json
import os
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from facetmill.dataset.intake import seen_ids
from facetmill.dataset.intake.corrections import Corrections
from facetmill.dataset.intake.ingest import IngestReport, image_fault, ingest
from facetmill.encoders.pictures import MAX_BYTES, MAX_PIXELS, decode_picture
from facetmill.errors import DataError
from facetmill.records import Facet, Product, Span, read_products, shards
from facetmill.sources import SOURCES
from facetmill.sources.base import BadRow, Reason, Source, SourceOptions
from facetmill.sources.rows import cut_lines, read_lines
from tests import small

OPTIONS = SourceOptions(demo=small.DEMO)
BAD = BadRow("shop.csv", 9, "title", " ", Reason.EMPTY_TITLE)


def source(make: Callable[[SourceOptions], Iterator[Product | BadRow]]) -> Source:
    return Source("shop", "made in the test", "none", lambda path, options: make(options))


def listed(*rows: Product | BadRow) -> Source:
    return source(lambda options: iter(rows))


def hat(number: int, **fields: object) -> Product:
    return Product(f"p{number}", "shop", "Red hat", **fields)  # type: ignore[arg-type]


class Work:
    """A folder to ingest into."""

    def __init__(self, folder: Path) -> None:
        self.out, self.report = folder / "ingested", folder / "reports" / "ingest.json"

    def ingest(self, rows: Source, max_bad_share: float = 1.0, shard_rows: int = 20_000) -> IngestReport:
        return ingest(
            rows, Path("shop"), OPTIONS, self.out, self.report, max_bad_share=max_bad_share, shard_rows=shard_rows
        )


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "work")


def test_shards_are_cut_at_their_size_and_keep_the_order(work: Work) -> None:
    work.ingest(listed(*(hat(n) for n in range(5))), shard_rows=2)
    assert [path.name for path in shards(work.out)] == [f"part-0000{n}.parquet" for n in range(3)]
    assert [pq.read_metadata(path).num_rows for path in shards(work.out)] == [2, 2, 1]
    assert [product.product_id for product in read_products(work.out)] == ["p0", "p1", "p2", "p3", "p4"]
    assert pq.read_metadata(shards(work.out)[0]).row_group(0).column(0).compression == "ZSTD"


@pytest.mark.parametrize("number", [1999, 2000, 2001, 4000, 4001])
def test_no_product_is_lost_where_batches_meet_shards(number: int, work: Work) -> None:
    work.ingest(source(lambda options: (hat(n) for n in range(number))), shard_rows=4000)
    assert [product.product_id for product in read_products(work.out)] == [f"p{n}" for n in range(number)]


def test_a_second_row_with_the_same_id_is_dropped(work: Work) -> None:
    report = work.ingest(listed(hat(1), BAD, hat(2), hat(1, text="again")))
    assert [product.text for product in read_products(work.out)] == ["", ""]
    assert report.dropped == {"duplicate_id": 1, "empty_title": 1}
    assert report.examples["duplicate_id"] == ("shop, row 4, field product_id: duplicate_id ('p1')",)


def test_a_span_outside_its_text_is_dropped(work: Work) -> None:
    inside = Facet("Color", "Red", (Span("title", 0, 3),))
    outside = Facet("Color", "Red", (Span("title", 0, 3), Span("text", 0, 3)))
    empty = Facet("Color", "Red", (Span("title", 3, 3),))
    report = work.ingest(listed(hat(1, facets=(inside,)), hat(2, facets=(outside,)), hat(3, facets=(empty,))))
    assert (report.num_products, report.dropped) == (1, {"span_out_of_text": 2})
    assert report.examples["span_out_of_text"][0] == "shop, row 2, field facets: span_out_of_text ('Color text[0:3]')"


def test_what_is_wrong_is_named_by_the_row_of_its_own_file(work: Work, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('id,title,images,Color\n1,"Hat\nof wool",,red\n\n2,Cap,gone.png,NULL\n,Bag,,red\n')
    (tmp_path / "b.csv").write_text("id,title,images,Color\n3,Belt,,\n2,Cap,,red\n")
    (tmp_path / "c.pdf").write_bytes(b"%PDF")
    report = ingest(SOURCES["products"], tmp_path, OPTIONS, work.out, work.report, max_bad_share=1)
    assert report.dropped == {"duplicate_id": 1, "missing_field": 1}
    assert report.noted == {"file_not_read": 1, "unknown_value": 1}
    assert report.num_rows == 5
    said = {reason: found[0].removeprefix(f"{tmp_path}/") for reason, found in report.examples.items()}
    assert said["duplicate_id"] == "b.csv, row 3, field product_id: duplicate_id ('2')"
    assert said["missing_field"] == "a.csv, row 5, field id: missing_field ('')"
    assert said["missing_image"] == "a.csv, row 4, field images: missing_image ('gone.png')"
    assert said["unknown_value"] == "a.csv, row 4, field Color: unknown_value ('NULL')"
    assert said["file_not_read"].startswith("c.pdf, row 1, field file: file_not_read")


def test_the_report_on_disk_says_the_same_every_time(work: Work, tmp_path: Path) -> None:
    rows = [hat(1, facets=(Facet("Color", "Red"), Facet("Kind", "hat"))), *[BAD] * 12]
    report = work.ingest(listed(*rows))
    assert json.loads(work.report.read_text()) == {
        "num_products": 1,
        "num_facets": 2,
        "num_images": 0,
        "num_corrected": 0,
        "num_corrections_unused": 0,
        "dropped": {"empty_title": 12},
        "images_dropped": {},
        "noted": {},
        "examples": {"empty_title": ["shop.csv, row 9, field title: empty_title (' ')"] * 10},
    }
    first = work.report.read_bytes()
    assert work.ingest(listed(*rows)) == report
    assert work.report.read_bytes() == first


def test_the_limit_is_a_share_of_all_rows(work: Work) -> None:
    rows = listed(*(hat(n) for n in range(9)), BAD)
    assert work.ingest(rows, max_bad_share=0.1).num_rows == 10
    with pytest.raises(DataError) as error:
        work.ingest(rows, max_bad_share=0.09)
    assert str(error.value) == (
        "shop:shop: 1 of 10 rows are bad (empty_title 1); dataset.max_bad_share is 0.09; nothing was written\n"
        "  shop.csv, row 9, field title: empty_title (' ')"
    )


@pytest.mark.parametrize("rows", [(), (BAD,)], ids=["no rows", "no good rows"])
def test_no_product_is_an_error_and_leaves_the_last_output_alone(rows: tuple[BadRow, ...], work: Work) -> None:
    work.ingest(listed(hat(1)))
    before = work.report.read_bytes()
    with pytest.raises(DataError):
        work.ingest(listed(*rows))
    assert [product.product_id for product in read_products(work.out)] == ["p1"]
    assert work.report.read_bytes() == before
    assert sorted(path.name for path in work.out.parent.iterdir()) == ["ingested", "reports"]
    assert [path.name for path in work.report.parent.iterdir()] == ["ingest.json"]


def test_a_source_that_fails_half_way_leaves_nothing(work: Work) -> None:
    def rows(options: SourceOptions) -> Iterator[Product]:
        yield hat(1)
        raise DataError("shop: cannot be read after row 1")

    with pytest.raises(DataError, match="after row 1"):
        work.ingest(source(rows))
    assert [path for path in work.out.parent.rglob("*") if path.is_file()] == []


def test_pictures_a_source_draws_become_part_of_the_output(work: Work) -> None:
    def rows(options: SourceOptions) -> Iterator[Product]:
        assert options.scratch is not None
        (options.scratch / "a").mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(options.scratch / "a" / "x.png")
        Image.new("RGB", (4, 4)).save(options.scratch / "y.png")
        yield hat(1, images=("a/x.png", str(options.scratch / "y.png"), "gone.png"))

    report = work.ingest(source(rows))
    [product] = read_products(work.out)
    assert product.images == ("ingested/images/a/x.png", "ingested/images/y.png")
    assert all((work.out.parent / image).is_file() for image in product.images)
    assert (report.num_images, report.images_dropped) == (2, {"missing_image": 1})


def test_a_relative_output_folder_keeps_the_pictures_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def rows(options: SourceOptions) -> Iterator[Product]:
        assert options.scratch is not None
        options.scratch.mkdir()
        Image.new("RGB", (4, 4)).save(options.scratch / "x.png")
        yield hat(1, images=(str(options.scratch / "x.png"),))

    monkeypatch.chdir(tmp_path)  # as DVC runs the stage
    ingest(source(rows), Path("shop"), OPTIONS, Path("ingested"), Path("reports/ingest.json"), max_bad_share=0)
    assert [product.images for product in read_products(Path("ingested"))] == [("ingested/images/x.png",)]


def test_pictures_elsewhere_are_absolute_and_missing_ones_counted(work: Work, tmp_path: Path) -> None:
    kept = tmp_path / "kept.webp"
    Image.new("RGB", (4, 4)).save(kept)
    images = (str(tmp_path / "gone.png"), str(kept), f"{tmp_path}/https://shop.example/1.png")
    report = work.ingest(listed(hat(1, images=images)), max_bad_share=0)
    assert [product.images for product in read_products(work.out)] == [(str(kept),)]
    assert report.images_dropped == {"missing_image": 2}
    assert report.dropped == {}
    assert report.examples["missing_image"] == (
        "shop, row 1, field images: missing_image ('gone.png')",
        "shop, row 1, field images: missing_image ('https://shop.example/1.png')",
    )


def test_an_image_folder_that_is_not_there_is_told_at_once(work: Work, tmp_path: Path) -> None:
    options = SourceOptions(demo=OPTIONS.demo, images=tmp_path / "gone")
    with pytest.raises(DataError, match="gone: no such folder of images"):
        ingest(listed(hat(1)), Path("shop"), options, work.out, work.report, max_bad_share=0)


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "gif", "avif"])
def test_a_picture_cut_off_anywhere_is_corrupt(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{ending}"
    Image.effect_noise((64, 64), 50).convert("RGB").save(path)
    assert image_fault(path) is None
    whole = path.read_bytes()
    for share in (0.0, 0.1, 0.5, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        assert image_fault(path) == (Reason.CORRUPT_IMAGE, "")


def test_a_picture_that_would_fill_the_memory_is_not_decoded(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    side = int(MAX_PIXELS**0.5) + 1
    Image.new("1", (side, side)).save(path)  # some kilobytes on disk, 50 million pixels
    tracemalloc.start()
    assert image_fault(path) == (Reason.IMAGE_TOO_LARGE, "")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize("name", ["n" * 5000, "a\0b", "folder", "pipe", "text.eps"])
def test_what_is_no_picture_file_is_never_kept(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "text.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    assert image_fault(tmp_path / name) is not None


def saved(path: Path, kind: str, mode: str = "RGB", **how: object) -> bytes:
    Image.effect_noise((64, 48), 50).convert(mode).save(path, kind, **how)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("kind", "mode"), [("AVIF", "RGB"), ("JPEG", "CMYK"), ("JPEG", "L"), ("PNG", "I;16"), ("WEBP", "RGBA")]
)
def test_pictures_as_shops_have_them_are_read_whatever_their_name(kind: str, mode: str, tmp_path: Path) -> None:
    saved(tmp_path / "x.jpg", kind, mode)
    assert image_fault(tmp_path / "x.jpg") is None


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"II*\0\x08\0\0\0", "TIFF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"%PDF-1.7\n", "PDF"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"<!doctype html><title>Not found</title>", "HTML page"),
    ],
)
def test_a_format_that_is_not_read_is_named(content: bytes, kind: str, tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(content)
    assert image_fault(tmp_path / "x.jpg") == (Reason.IMAGE_FORMAT_NOT_READ, kind)


def test_a_whole_tiff_is_named_and_its_format_is_told(work: Work, tmp_path: Path) -> None:
    saved(tmp_path / "x.png", "TIFF")
    report = work.ingest(listed(hat(1, images=(str(tmp_path / "x.png"),))), max_bad_share=0)
    assert report.images_dropped == {"image_format_not_read": 1}
    said = "shop, row 1, field images: image_format_not_read ('x.png: TIFF')"
    assert report.examples["image_format_not_read"] == (said,)


def test_a_file_above_the_limit_is_too_large(tmp_path: Path) -> None:
    with (tmp_path / "x.jpg").open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)
    assert image_fault(tmp_path / "x.jpg") == (Reason.IMAGE_TOO_LARGE, "")


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("lost", [1, 2])
def test_a_jpeg_that_lacks_only_its_end_mark_is_read(lost: int, progressive: bool, tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    whole = saved(path, "JPEG", progressive=progressive)
    pixels = decode_picture(whole, 32)
    path.write_bytes(whole[:-lost])
    assert image_fault(path) is None
    assert np.array_equal(decode_picture(whole[:-lost], 32), pixels)
    path.write_bytes(whole + b"trailing")  # as some cameras add
    assert image_fault(path) is None


@pytest.mark.parametrize("lost", [12, 40, 100])
def test_a_jpeg_that_lacks_pixels_is_corrupt_however_few(lost: int, tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(saved(path, "JPEG")[:-lost])
    assert image_fault(path) == (Reason.CORRUPT_IMAGE, "")


@pytest.mark.parametrize(("part", "fault"), [(b"tEXt", None), (b"IDAT", (Reason.CORRUPT_IMAGE, ""))])
def test_a_wrong_checksum_matters_only_where_pixels_depend_on_it(
    part: bytes, fault: tuple[Reason, str] | None, tmp_path: Path
) -> None:
    path = tmp_path / "x.png"
    about = PngInfo()
    about.add_text("Comment", "made by hand")
    whole = bytearray(saved(path, "PNG", pnginfo=about))
    at = whole.index(part)
    length = int.from_bytes(whole[at - 4 : at])
    whole[at + 4 + length] ^= 0xFF  # of the checksum behind
    path.write_bytes(whole)
    assert image_fault(path) == fault


# --- in pieces --------------------------------------------------------------------------------------------------------


def listing(number: int | str, **fields: object) -> dict[str, object]:
    """A row of MAE's layout; `specs` may be changed so that it is a bad one."""
    row = {"diffbotUri": f"i{number}", "clean_title": f"Hat {number}", "clean_text": "", "images": [], "specs": {}}
    return row | {"specs": {"Color": "red"}} | fields


def write_mae(folder: Path) -> Path:
    """Six files of MAE's layout with every kind of trouble; each of the last five is a piece of 100 bytes."""
    files: list[list[dict[str, object]]] = [
        [listing(0), listing(1, images=["gone.png"]), listing(0, clean_title="again")],
        [listing(2), listing("x", clean_title=" "), listing(1, clean_title="again"), listing(3)],
        [listing(n, clean_title=" ") for n in range(20, 32)],  # more of one reason than examples are kept; no product
        [listing(1), listing(1), listing(4, images=["gone.png", "gone.png"])],
        [listing(5, specs="red"), listing(6)],
        [listing(4, images=["gone.png"]), listing(7), listing(2)],
    ]
    folder.mkdir()
    for number, rows in enumerate(files):
        (folder / f"{number}.json").write_text(json.dumps(rows))
    return folder


MAE_IDS = [f"i{n}" for n in (0, 1, 2, 3, 4, 6, 7)]


def everything(work: Work) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in [*work.out.iterdir(), work.report]}


def take(source: Source, data: Path, work: Work, **how: int) -> IngestReport:
    corrections = Corrections(data, {"i2": {"Color": ("blue",)}, "i6": {"Color": ()}, "i9": {}})
    return ingest(source, data, OPTIONS, work.out, work.report, max_bad_share=1.0, corrections=corrections, **how)


def test_pieces_read_by_any_number_of_processes_give_the_same_bytes(tmp_path: Path) -> None:
    data = write_mae(tmp_path / "data")
    built = []
    for workers in (1, 2, 3):
        work = Work(tmp_path / f"work{workers}")
        take(SOURCES["mae"], data, work, workers=workers, piece_bytes=100)
        built.append(everything(work))
    assert built[0] == built[1] == built[2]
    assert sorted(built[0]) == ["ingest.json", *(f"part-0000{n}.parquet" for n in range(5))]  # a file has no product


def test_pieces_hold_what_the_whole_holds_and_tell_the_same_of_it(tmp_path: Path) -> None:
    data = write_mae(tmp_path / "data")
    pieces, whole = Work(tmp_path / "pieces"), Work(tmp_path / "whole")
    report = take(SOURCES["mae"], data, pieces, workers=1, piece_bytes=100)
    assert take(SOURCES["mae"], data, whole) == report
    assert len(shards(whole.out)) == 1
    assert list(read_products(pieces.out)) == list(read_products(whole.out))
    assert [product.product_id for product in read_products(pieces.out)] == MAE_IDS
    assert report.dropped == {"duplicate_id": 6, "empty_title": 13, "wrong_type": 1}
    assert (report.images_dropped, report.num_corrected, report.num_corrections_unused) == ({"missing_image": 3}, 2, 1)
    assert report.examples["duplicate_id"][:2] == (
        f"{data}/0.json, row 3, field product_id: duplicate_id ('i0')",
        f"{data}/1.json, row 3, field product_id: duplicate_id ('i1')",
    )
    assert report.examples["empty_title"][:2] == (
        f"{data / '1.json'}, row 2, field clean_title: empty_title (' ')",
        f"{data / '2.json'}, row 1, field clean_title: empty_title (' ')",
    )


def test_small_files_share_a_piece_and_a_shard(tmp_path: Path) -> None:
    data, work = write_mae(tmp_path / "data"), Work(tmp_path / "work")
    take(SOURCES["mae"], data, work, piece_bytes=1000)
    assert 1 < len(shards(work.out)) < 5
    assert [product.product_id for product in read_products(work.out)] == MAE_IDS


def test_a_file_that_cannot_be_read_leaves_nothing_of_the_other_pieces(tmp_path: Path) -> None:
    data, work = write_mae(tmp_path / "data"), Work(tmp_path / "work")
    (data / "4.json").write_text('{"not": "an array"}')
    with pytest.raises(DataError, match=r"4\.json: expected a JSON array"):
        take(SOURCES["mae"], data, work, piece_bytes=100)
    assert [path for path in work.out.parent.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("content", [b"", b"\n", b"a\nb\n", b"a\n\nb\r\nlonger than a stretch\nc\nd", b"a" * 30])
@pytest.mark.parametrize("stretch_bytes", [1, 2, 3, 5, 8, 100])
def test_stretches_hold_each_line_once_under_its_own_number(content: bytes, stretch_bytes: int, tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes("\ufeff".encode() + content)
    stretches = cut_lines(path, stretch_bytes)
    assert [line for only in stretches for line in read_lines(path, only)] == list(read_lines(path))
    assert all(one.end == other.start for one, other in pairwise(stretches))


@pytest.mark.parametrize("key", ["products", "mepave"])
def test_lines_of_one_file_are_pieces(key: str, tmp_path: Path) -> None:
    data = tmp_path / "shop.jsonl"
    if key == "products":
        good = [json.dumps({"id": f"i{n % 8}", "title": f"Hat {n}", "Color": "red"}) for n in range(10)]
    else:
        good = [f"c\ti{n % 8}\t红裙\t<颜色>红</颜色>裙" for n in range(10)]
    data.write_text("\n".join([*good[:5], '{"id": ', "", *good[5:]]) + "\n")
    pieces, whole = Work(tmp_path / "pieces"), Work(tmp_path / "whole")
    cut = dataclasses.replace(SOURCES[key], cut=lambda path: cut_lines(path, 60))
    report = take(cut, data, pieces, piece_bytes=1)
    assert take(SOURCES[key], data, whole) == report
    assert len(shards(pieces.out)) > 3
    assert list(read_products(pieces.out)) == list(read_products(whole.out))
    assert (report.num_products, report.dropped["duplicate_id"], report.num_dropped) == (8, 2, 3)
    [bad] = next(iter(found for reason, found in report.examples.items() if reason in ("broken_json", "missing_field")))
    assert bad.startswith(f"{data}, row 6, field ")


# --- memory -----------------------------------------------------------------------------------------------------------


def test_memory_does_not_grow_with_the_rows(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen_ids, "_IN_MEMORY", 1000)

    def peak(number: int) -> int:
        tracemalloc.start()
        work.ingest(source(lambda options: (hat(n) for n in range(number))))
        reached = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return reached

    assert peak(24_000) < 1.2 * peak(6_000)
