"""Charts and kustomizations made into YAML by the real programs; nothing is installed by them.

renderer.py   requests answered from the cache, or by a program
helm.py       `helm template`, and what it says when it fails
kustomize.py  `kubectl kustomize`
charts.py     remote charts, fetched by digest
cache.py      what was rendered, by a digest of everything that went in
programs.py   running a program without anything of ours around it
"""

from __future__ import annotations

from orchestrator.rendering.renderer import ProgramRenderer

__all__ = ["ProgramRenderer"]
