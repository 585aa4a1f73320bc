"""An MCP server over standard input and output, by the Python SDK."""

from mcp.server import MCPServer
from mcp_types import ToolAnnotations

server = MCPServer("tools")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@server.tool()
def refuse() -> str:
    """Can't do what it is asked."""
    raise ValueError("not today")


server.run("stdio")
