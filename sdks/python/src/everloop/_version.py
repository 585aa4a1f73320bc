"""The version of the package: that of the binary that it brings along."""

VERSION = "0.1.0"
