"""Evidence: canonical records, the Merkle log and its proofs, receipts, verification and replay."""
