"""Strict reading of YAML into pydantic models: a typo names the key that was meant.

Shared by every configuration file. Knows no particular schema.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from memory.errors import ConfigError

M = TypeVar("M", bound=BaseModel)


class _UniqueKeys(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice."""


def _mapping(loader: _UniqueKeys, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        if key in seen:
            line = key_node.start_mark.line + 1
            raise ConfigError(f"{key_node.start_mark.name}, line {line}: key '{key}' is given twice; keep one.")
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        ConfigError: no such file, not YAML (with line), not a mapping, a key twice.
    """
    if not path.is_file():
        raise ConfigError(f"No config at {path}. Give the path of a YAML file with -c/--config.")
    try:
        with path.open(encoding="utf-8") as handle:
            found = yaml.load(handle, Loader=_UniqueKeys)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        raise ConfigError(f"{where}: not valid YAML ({getattr(error, 'problem', error)}).") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text ({error}).") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path} must hold a mapping of keys to values, not {type(found).__name__}.")
    return found


def apply_override(data: dict[str, Any], assignment: str) -> None:
    """Apply one ``a.b=value`` (the value is YAML) in place.

    Raises:
        ConfigError: no ``=``, or the path runs through something that is not a section.
    """
    key, sign, value = assignment.partition("=")
    if not sign or not key.strip():
        raise ConfigError(f"--set {assignment}: write it as section.key=value, for example --set loop.max_rounds=2.")
    *parents, last = key.strip().split(".")
    section = data
    for parent in parents:
        section = section.setdefault(parent, {})
        if not isinstance(section, dict):
            raise ConfigError(f"--set {assignment}: {parent} is not a section.")
    try:
        section[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {assignment}: the value is not valid YAML.") from error


def load(model: type[M], path: Path, overrides: Sequence[str] = (), seed: int | None = None) -> M:
    """Read a YAML file, apply ``a.b=value`` overrides and the seed where one is given, and validate.

    Raises:
        ConfigError: see `read_yaml`, `apply_override` and `validate`.
    """
    data = read_yaml(path)
    for assignment in overrides:
        apply_override(data, assignment)
    if seed is not None:
        data["seed"] = seed
    return validate(model, data, str(path))


def validate(model: type[M], data: Mapping[str, Any], where: str) -> M:
    """Validate data against a strict model.

    Raises:
        ConfigError: one line for each fault, with the place and, for an unknown key, the nearest known one.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        lines = [_explain(model, fault) for fault in error.errors()]
        raise ConfigError("\n".join(f"{where}: {line}" for line in lines)) from error


def _explain(model: type[BaseModel], fault: Any) -> str:
    place = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        known = _keys_at(model, fault["loc"][:-1])
        near = difflib.get_close_matches(str(fault["loc"][-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(known)}."
        return f"unknown key '{place}'; {hint}"
    if fault["type"] == "missing":
        return f"key '{place}' is missing; add it."
    return f"{place or 'config'}: {fault['msg']} (got {fault['input']!r})"[:400]


def _keys_at(model: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    current: Any = model
    for part in path:
        field = current.model_fields.get(part) if _is_model(current) else None
        current = _model_in(field.annotation) if field is not None else None
        if current is None:
            return []
    return sorted(current.model_fields)


def _is_model(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, BaseModel)


def _model_in(annotation: Any) -> Any:
    if _is_model(annotation):
        return annotation
    if get_origin(annotation) in (Union, types.UnionType):
        return next((_model_in(arg) for arg in get_args(annotation) if _model_in(arg) is not None), None)
    return None
