"""Evidence: canonical records, the Merkle log, proofs, receipts, replay."""
