"""The Merkle tree against known answers and against itself, every size and index up to 33."""

from __future__ import annotations

import hashlib

import pytest

from decision_service.audit import merkle

# Inputs and roots of the reference tests of Certificate Transparency logs.
INPUTS = [bytes.fromhex(one) for one in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}
LEAVES = [merkle.leaf_hash(str(number).encode()) for number in range(33)]


def test_the_empty_tree_has_the_hash_of_nothing():
    assert merkle.root_of([]) == hashlib.sha256(b"").digest()


@pytest.mark.parametrize("size", sorted(ROOTS))
def test_roots_are_the_known_ones(size):
    assert merkle.root_of([merkle.leaf_hash(data) for data in INPUTS[:size]]).hex() == ROOTS[size]


@pytest.mark.parametrize("size", range(1, 34))
def test_every_leaf_proves_its_inclusion_and_no_other_place(size):
    leaves = LEAVES[:size]
    top = merkle.root_of(leaves)
    for index in range(size):
        proof = merkle.inclusion_proof(leaves, index)
        assert merkle.verify_inclusion(leaf=leaves[index], index=index, size=size, proof=proof, root=top)
        other_leaf = merkle.leaf_hash(b"other")
        assert not merkle.verify_inclusion(leaf=other_leaf, index=index, size=size, proof=proof, root=top)
        for other in range(size):
            held = merkle.verify_inclusion(leaf=leaves[index], index=other, size=size, proof=proof, root=top)
            assert held is (other == index)


@pytest.mark.parametrize("size", range(1, 34))
def test_every_earlier_tree_is_a_prefix_and_a_changed_one_is_not(size):
    leaves = LEAVES[:size]
    top = merkle.root_of(leaves)
    for old in range(1, size + 1):
        proof = merkle.consistency_proof(leaves, old)
        old_root = merkle.root_of(leaves[:old])
        assert merkle.verify_consistency(
            first_size=old, first_root=old_root, second_size=size, second_root=top, proof=proof
        )
        forged = merkle.root_of([merkle.leaf_hash(b"forged"), *leaves[1:old]])
        assert not merkle.verify_consistency(
            first_size=old, first_root=forged, second_size=size, second_root=top, proof=proof
        )
