"""A small client of a language server over standard input and output, as an editor is one."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

SETTINGS = {"validate": True, "hover": True, "completion": True, "schemaStore": {"enable": False}}


class Editor:
    """Opens files in a language server and asks it what an editor would ask."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._number = 0
        self._told: dict[str, list[Any]] = {}
        capabilities = {"textDocument": {"completion": {}, "hover": {}}, "workspace": {"configuration": True}}
        self.ask(
            "initialize", {"processId": None, "rootUri": folder.as_uri(), "capabilities": capabilities}
        )
        self._send({"method": "initialized", "params": {}})

    def close(self) -> None:
        """Stop the server that this editor started."""
        self._process.terminate()
        self._process.communicate(timeout=20)

    def open(self, path: Path, text: str) -> str:
        """Open a file with this text, saved or not; its URI."""
        uri = path.as_uri()
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self._send({"method": "textDocument/didOpen", "params": {"textDocument": document}})
        return uri

    def completions(self, uri: str, line: int, column: int) -> dict[str, Any]:
        """What is offered at a place (counted from zero), by label."""
        found = self.ask("textDocument/completion", _place(uri, line, column))
        return {item["label"]: item for item in found["items"]}

    def hover(self, uri: str, line: int, column: int) -> str:
        """The text shown at a place (counted from zero)."""
        found = self.ask("textDocument/hover", _place(uri, line, column))
        return str(found["contents"]["value"])

    def mistakes(self, uri: str) -> list[tuple[int, str]]:
        """The line (from zero) and text of each mistake that the server reports, once it has."""
        while uri not in self._told:
            self._take()
        return [(one["range"]["start"]["line"], one["message"]) for one in self._told[uri]]

    def ask(self, method: str, params: Any) -> Any:
        """The answer to one request; the server's own requests are answered meanwhile."""
        self._number += 1
        number = self._number
        self._send({"id": number, "method": method, "params": params})
        while True:
            message = self._take()
            if message.get("id") == number and "method" not in message:
                assert "error" not in message, message
                return message["result"]

    def _take(self) -> dict[str, Any]:
        message = self._read()
        if message.get("method") == "textDocument/publishDiagnostics":
            self._told[message["params"]["uri"]] = message["params"]["diagnostics"]
        elif message.get("method") == "workspace/configuration":
            items = message["params"]["items"]
            self._send({"id": message["id"], "result": [SETTINGS if one["section"] == "yaml" else {} for one in items]})
        elif "method" in message and "id" in message:
            self._send({"id": message["id"], "result": None})
        return message

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._process.stdin.flush()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        length = 0
        while (line := self._process.stdout.readline().strip()) != b"":
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        assert length, "the language server has ended"
        message: dict[str, Any] = json.loads(self._process.stdout.read(length))
        return message


def _place(uri: str, line: int, column: int) -> dict[str, Any]:
    return {"textDocument": {"uri": uri}, "position": {"line": line, "character": column}}
