"""The Merkle tree of RFC 6962: leaf and node hashes, roots, appending by frontier, inclusion and consistency proofs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from decision_service.errors import AuditError

EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """Hash of a leaf's bytes (RFC 6962, 2.1): SHA-256 over 0x00 and the data."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of two subtrees (RFC 6962, 2.1): SHA-256 over 0x01, left and right."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def append(frontier: Sequence[bytes], size: int, leaf: bytes) -> tuple[bytes, ...]:
    """The frontier after one more leaf. A frontier holds the roots of the full subtrees of a tree, largest first.

    ``size`` is the number of leaves before; raises ``AuditError`` when it does not fit the frontier.
    """
    if len(frontier) != size.bit_count():
        raise AuditError(f"a tree of {size} leaves has {size.bit_count()} full subtrees, not {len(frontier)}")
    roots = list(frontier)
    while size & 1:
        leaf = node_hash(roots.pop(), leaf)
        size >>= 1
    return (*roots, leaf)


def frontier_root(frontier: Sequence[bytes]) -> bytes:
    """The root over a frontier: its subtrees folded from the right."""
    if not frontier:
        return EMPTY_ROOT
    root = frontier[-1]
    for left in reversed(frontier[:-1]):
        root = node_hash(left, root)
    return root


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes."""
    frontier: tuple[bytes, ...] = ()
    for size, leaf in enumerate(leaves):
        frontier = append(frontier, size, leaf)
    return frontier_root(frontier)


def _split(size: int) -> int:
    """The largest power of two below ``size`` (size >= 2)."""
    return 1 << ((size - 1).bit_length() - 1)


def inclusion_proof(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The audit path of a leaf (RFC 6962, 2.1.1), lowest sibling first; raises ``AuditError`` for a bad index."""
    if not 0 <= index < len(leaves):
        raise AuditError(f"leaf {index} is not in a tree of {len(leaves)} leaves")
    if len(leaves) == 1:
        return ()
    half = _split(len(leaves))
    if index < half:
        return (*inclusion_proof(leaves[:half], index), root(leaves[half:]))
    return (*inclusion_proof(leaves[half:], index - half), root(leaves[:half]))


def verify_inclusion(leaf: bytes, index: int, size: int, *, proof: Sequence[bytes], expected: bytes) -> bool:
    """Whether a leaf hash stands at ``index`` in the tree of ``size`` leaves with root ``expected`` (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    position, last, computed = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            computed = node_hash(sibling, computed)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and computed == expected


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> tuple[bytes, ...]:
    """The proof that the first ``old_size`` leaves are a prefix (RFC 6962, 2.1.2); raises ``AuditError``."""
    if not 0 < old_size <= len(leaves):
        raise AuditError(f"no earlier tree of {old_size} leaves in one of {len(leaves)}")
    return _subproof(leaves, old_size, whole=True)


def _subproof(leaves: Sequence[bytes], old_size: int, *, whole: bool) -> tuple[bytes, ...]:
    if old_size == len(leaves):
        return () if whole else (root(leaves),)
    half = _split(len(leaves))
    if old_size <= half:
        return (*_subproof(leaves[:half], old_size, whole=whole), root(leaves[half:]))
    return (*_subproof(leaves[half:], old_size - half, whole=False), root(leaves[:half]))


def verify_consistency(
    old_size: int, size: int, *, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether the tree of ``size`` leaves extends that of ``old_size`` (RFC 9162, 2.1.4.2)."""
    if old_size == size:
        return not proof and old_root == new_root
    if not 0 < old_size < size:
        return False
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    position, last = old_size - 1, size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            second = node_hash(second, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root
