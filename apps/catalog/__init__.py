"""The catalog: model entries, their files, scans, cards, lineage and versions."""
