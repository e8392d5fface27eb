"""A real yaml-language-server, as an editor uses it: messages over stdin and stdout."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PACKAGE = "yaml-language-server@1.25.0"


def install(folder: Path) -> Path | None:
    """Install the npm package there; return its program, or None without npm or a registry."""
    npm = shutil.which("npm")
    if npm is None:
        return None
    line = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), PACKAGE]
    done = subprocess.run(line, capture_output=True, timeout=120)
    return folder / "node_modules/.bin/yaml-language-server" if done.returncode == 0 else None


class YamlServer:
    """The server for files below `root`, with an editor's settings."""

    def __init__(self, process: "subprocess.Popen[bytes]", root: Path, settings: Mapping[str, Any]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin, process.stdout
        self._root, self._settings = root, settings
        self._last = 0
        capabilities = {"workspace": {"configuration": True}, "textDocument": {"publishDiagnostics": {}}}
        folders = [{"uri": root.as_uri(), "name": root.name}]
        self._request(
            "initialize",
            {"processId": None, "rootUri": root.as_uri(), "workspaceFolders": folders, "capabilities": capabilities},
        )
        self._send({"method": "initialized", "params": {}})
        self._send({"method": "workspace/didChangeConfiguration", "params": {"settings": {"yaml": settings}}})

    def problems(self, name: str, text: str) -> list[tuple[int, str]]:
        """Open the file, with this content; return the line and the message of each diagnostic."""
        uri = self._open(name, text)
        while True:
            message = self._receive()
            if message.get("method") == "textDocument/publishDiagnostics" and message["params"]["uri"] == uri:
                found = message["params"]["diagnostics"]
                return [(one["range"]["start"]["line"], one["message"]) for one in found]

    def completions(self, name: str, text: str) -> list[str]:
        """Return what the server offers at the end of the file with this content."""
        uri, lines = self._open(name, text), text.split("\n")
        position = {"line": len(lines) - 1, "character": len(lines[-1])}
        result = self._request("textDocument/completion", {"textDocument": {"uri": uri}, "position": position})
        return [str(one["label"]) for one in result["items"]]

    def hover(self, name: str, text: str) -> str:
        """Return what the server says about the first key of the file."""
        uri = self._open(name, text)
        place = {"textDocument": {"uri": uri}, "position": {"line": 0, "character": 0}}
        return str(self._request("textDocument/hover", place)["contents"]["value"])

    def _open(self, name: str, text: str) -> str:
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        document = {"uri": path.as_uri(), "languageId": "yaml", "version": 1, "text": text}
        self._send({"method": "textDocument/didOpen", "params": {"textDocument": document}})
        return path.as_uri()

    def _request(self, method: str, params: Mapping[str, Any]) -> Any:
        self._last += 1
        number = self._last
        self._send({"id": number, "method": method, "params": params})
        while True:
            message = self._receive()
            if message.get("id") == number and "method" not in message:
                return message["result"]

    def _send(self, message: Mapping[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._in.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._in.flush()

    def _receive(self) -> dict[str, Any]:
        """Return the next message. Requests of the server are answered: it asks for the settings."""
        size = 0
        while (line := self._out.readline().strip()) or not size:
            if line.lower().startswith(b"content-length:"):
                size = int(line.split(b":")[1])
        message: dict[str, Any] = json.loads(self._out.read(size))
        if "id" in message and "method" in message:
            items = message.get("params", {}).get("items", [])
            wanted = [self._settings if item.get("section") == "yaml" else {} for item in items]
            self._send({"id": message["id"], "result": wanted})
        return message


@contextmanager
def run_server(program: Path, root: Path, settings: Mapping[str, Any]) -> Iterator[YamlServer]:
    process = subprocess.Popen([str(program), "--stdio"], stdin=-1, stdout=-1, stderr=subprocess.DEVNULL)
    try:
        yield YamlServer(process, root, settings)
    finally:
        process.kill()
        process.communicate()
