"""The Merkle tree of RFC 6962: hashes, an appendable frontier, inclusion and consistency proofs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from decision_service.errors import AuditError

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(record: bytes) -> bytes:
    """The 32-byte hash of a leaf (RFC 6962, 2.1): SHA-256 of 0x00 and the record."""
    return sha256(b"\x00" + record).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The 32-byte hash of an inner node (RFC 6962, 2.1): SHA-256 of 0x01, left and right."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """What is needed to append: the roots of the perfect subtrees, largest first, one per set bit of ``size``."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def append(self, leaf: bytes) -> "Frontier":
        """The frontier after one more leaf hash; costs O(log size) hashes."""
        peaks, merged, size = list(self.peaks), leaf, self.size
        while size & 1:
            merged = node_hash(peaks.pop(), merged)
            size >>= 1
        return Frontier(self.size + 1, (*peaks, merged))

    def root(self) -> bytes:
        """The tree's root; of no leaves it is the hash of nothing."""
        if not self.peaks:
            return EMPTY_ROOT
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root

    def to_bytes(self) -> bytes:
        """The peaks, 32 bytes each."""
        return b"".join(self.peaks)

    @classmethod
    def from_bytes(cls, size: int, packed: bytes) -> "Frontier":
        """Raises ``AuditError`` when there are not as many peaks as ``size`` has set bits."""
        if size < 0 or len(packed) != HASH_SIZE * size.bit_count():
            raise AuditError(f"the stored log frontier does not fit {size} leaves", remedy="run: audit verify")
        return cls(size, tuple(packed[at : at + HASH_SIZE] for at in range(0, len(packed), HASH_SIZE)))


def frontier_of(leaves: Iterable[bytes]) -> Frontier:
    """The frontier over leaf hashes, in order."""
    frontier = Frontier()
    for leaf in leaves:
        frontier = frontier.append(leaf)
    return frontier


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over leaf hashes, in order."""
    return frontier_of(leaves).root()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The audit path of a leaf in the tree over ``leaves`` (RFC 6962, 2.1.1), nearest sibling first.

    Raises ``AuditError`` when the leaf is not in the tree.
    """
    if not 0 <= index < len(leaves):
        raise AuditError(f"leaf {index} is not in a log of {len(leaves)} leaves")
    path: list[bytes] = []
    low, high = 0, len(leaves)
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(root_of(leaves[middle:high]))
            high = middle
        else:
            path.append(root_of(leaves[low:middle]))
            low = middle
    return tuple(reversed(path))


def consistency_proof(leaves: Sequence[bytes], size: int) -> tuple[bytes, ...]:
    """Proof that the tree over the first ``size`` leaves is a prefix of the whole (RFC 6962, 2.1.2).

    Raises ``AuditError`` unless ``0 < size <= len(leaves)``.
    """
    if not 0 < size <= len(leaves):
        raise AuditError(f"there is no earlier log of {size} leaves in one of {len(leaves)}")
    path: list[bytes] = []
    low, high, whole = 0, len(leaves), True
    while size != high:
        middle = low + _split(high - low)
        if size <= middle:
            path.append(root_of(leaves[middle:high]))
            high = middle
        else:
            path.append(root_of(leaves[low:middle]))
            low, whole = middle, False
    if not whole:
        path.append(root_of(leaves[low:high]))
    return tuple(reversed(path))


def verify_inclusion(*, leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether ``proof`` leads from a leaf hash at ``index`` to the root of a log of ``size`` leaves."""
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
    return last == 0 and computed == root


def verify_consistency(
    *, first_size: int, first_root: bytes, second_size: int, second_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether ``proof`` shows that the first log is a prefix of the second."""
    if not 0 < first_size <= second_size:
        return False
    if first_size == second_size:
        return not proof and first_root == second_root
    # An earlier log that is one perfect tree is itself the first node of the path.
    path = [first_root, *proof] if first_size.bit_count() == 1 else list(proof)
    if not path:
        return False
    return _roots_from(path, first_size - 1, second_size - 1) == (first_root, second_root)


def _roots_from(path: list[bytes], position: int, last: int) -> tuple[bytes, bytes] | None:
    while position & 1:
        position, last = position >> 1, last >> 1
    first = second = path[0]
    for node in path[1:]:
        if last == 0:
            return None
        if position & 1 or position == last:
            first, second = node_hash(node, first), node_hash(node, second)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            second = node_hash(second, node)
        position, last = position >> 1, last >> 1
    return (first, second) if last == 0 else None


def _split(count: int) -> int:
    """The largest power of two below ``count`` (at least 2)."""
    return 1 << (count - 1).bit_length() - 1
