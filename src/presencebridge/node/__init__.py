"""The process and its sites: `node` is the one, `site` the other; `keeper` keeps one running."""

from presencebridge.node.node import Node
from presencebridge.node.site import Site
from presencebridge.node.source import Folder, OneFile, Source

__all__ = ["Folder", "Node", "OneFile", "Site", "Source"]
