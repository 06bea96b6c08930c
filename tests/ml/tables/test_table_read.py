"""Files as they come: encodings, delimiters, formats, and what cannot be read."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pandas as pd
import pytest

from decision_service.errors import InputError
from ml.tables.kinds import column_of
from ml.tables.read import read_table, read_tables

ROWS = "name,amount\r\n甲公司,1\r\n乙公司,2\r\n"


def table(folder: Path, content: bytes, name: str = "t.csv") -> pd.DataFrame:
    path = folder / name
    path.write_bytes(content)
    return read_table(path).frame


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_chinese_is_read_in_every_usual_encoding(encoding: str, tmp_path: Path) -> None:
    frame = table(tmp_path, ROWS.encode(encoding))
    assert list(frame.columns) == ["name", "amount"] and frame["name"].tolist() == ["甲公司", "乙公司"]


def test_western_text_is_not_taken_for_chinese(tmp_path: Path) -> None:
    frame = table(tmp_path, "name,city\nMüller,Köln\nGarçon,Besançon\n".encode("cp1252"))
    assert frame["city"].tolist() == ["Köln", "Besançon"]


def test_lines_of_two_encodings_are_each_read_in_theirs(tmp_path: Path) -> None:
    content = "name,amount\n甲公司,1\n".encode() + "乙公司,2\n".encode("gb18030")
    assert table(tmp_path, content)["name"].tolist() == ["甲公司", "乙公司"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(delimiter: str, tmp_path: Path) -> None:
    lines = ["a,b,c", '1,"x, y; z | w",3', "4,5,6"]
    content = "\n".join(lines[:1] + [line if '"' in line else line for line in lines[1:]])
    content = content.replace('"x, y; z | w"', "@").replace(",", delimiter).replace("@", '"x, y; z | w"')
    frame = table(tmp_path, content.encode())
    assert list(frame.columns) == ["a", "b", "c"] and frame["b"].tolist() == ["x, y; z | w", "5"]


def test_prose_before_the_header_spaces_in_names_and_repeated_names(tmp_path: Path) -> None:
    frame = table(tmp_path, b"Notes offered by prospectus\n a ,b,b\n1,2,3\n4,5,6\n")
    assert list(frame.columns) == ["a", "b", "b.2"]


def test_of_two_lines_of_names_the_later_is_the_header(tmp_path: Path) -> None:
    rows = "".join(f"{place},{place * 7},{place % 2}\n" for place in range(9))
    (tmp_path / "t.csv").write_text(",X1,Y\nID,LIMIT_BAL,default payment\n" + rows)
    found = read_table(tmp_path / "t.csv")
    assert list(found.frame.columns) == ["ID", "LIMIT_BAL", "default payment"] and len(found.frame) == 9
    assert "two lines of names" in found.notes[0]


@pytest.mark.parametrize("second", ["north,1,0", "a,?,NA", "USD,USD,USD", "a,b,c"])
def test_a_first_row_is_not_taken_for_names(second: str, tmp_path: Path) -> None:
    below = "x,y,z\n" * 9 if second == "a,b,c" else "south,2,1\n" * 9
    assert len(table(tmp_path, f"region,n,bad\n{second}\n{below}".encode())) == 10


def test_blanks_part_fields_where_nothing_else_does(tmp_path: Path) -> None:
    assert list(table(tmp_path, b'a "b c" d\n1 2 3\n4 5 6\n').columns) == ["a", "b c", "d"]
    assert list(table(tmp_path, b"net income\n12\n13\n").columns) == ["net income"]
    assert list(table(tmp_path, b"at,v\n2020-01-01 10:00,x y\n2020-01-02 11:00,y z\n").columns) == ["at", "v"]


def test_lists_and_structs_of_parquet_are_read_as_text(tmp_path: Path) -> None:
    pd.DataFrame({"a": [[1, 2], [3], None], "b": [{"x": 1}] * 3, "c": [1, 2, 3]}).to_parquet(tmp_path / "t.parquet")
    frame = read_table(tmp_path / "t.parquet").frame
    assert column_of(frame["a"], "a").kind == "flag" and column_of(frame["b"], "b").kind == "constant"


def test_values_keep_their_text(tmp_path: Path) -> None:
    frame = table(tmp_path, b'id,v\n007,"1,000"\n008,NA\n')
    assert frame["id"].tolist() == ["007", "008"] and frame["v"].tolist() == ["1,000", "NA"]


def test_arff_parquet_and_gzip_give_the_same_rows(tmp_path: Path) -> None:
    arff = b"% x\n@relation r\n@ATTRIBUTE Attr1 numeric\n@attribute 'net income' real\n@attribute class {0,1}\n"
    frame = table(tmp_path, arff + b"@DATA\n0.5,?,0\n% y\n1.5,2,1\n", "t.arff")
    assert list(frame.columns) == ["Attr1", "net income", "class"] and frame["net income"].tolist() == ["?", "2"]
    assert table(tmp_path, gzip.compress(b"a,b\n1,2\n"), "t.csv.gz")["b"].tolist() == ["2"]
    pd.DataFrame({"a": [1.5], "b": ["x"]}).to_parquet(tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet").frame["a"].tolist() == [1.5]


def test_files_stand_below_each_other(tmp_path: Path) -> None:
    for name, content in (("a.csv", b"x,y\n1,2\n"), ("b.csv", b"y,x\n3,4\n")):
        (tmp_path / name).write_bytes(content)
    frame = read_tables([tmp_path / "a.csv", tmp_path / "b.csv"]).frame
    assert frame["x"].tolist() == ["1", "4"]


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (b"", "t.csv", "empty"),
        (b"a,b\n", "t.csv", "no rows"),
        (b"1,2\n3,4\n", "t.csv", "numbers, not names"),
        (b"a,b\n1,2\n" + b"1,2,3\n" * 9, "t.csv", "fields"),
        (b"PAR1 no", "t.parquet", "cannot be read"),
        (b"\0\0\0\1", "t.csv", "not text"),
        (b"@relation r\n1,2\n", "t.arff", "@data"),
        (b"@relation r\n@data\n1,2\n", "t.arff", "@attribute"),
        (b"\x1f\x8b broken", "t.csv.gz", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(content: bytes, name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        table(tmp_path, content, name)


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    for path in (tmp_path / "pipe.csv", tmp_path, tmp_path / "absent.csv"):
        with pytest.raises(InputError):
            read_table(path)
