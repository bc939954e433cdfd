"""Measuring the product against ground truth: true motion filmed, lifted from pixels alone, compared.

Nothing here shares code with `studio_pipeline.render`, so that a fault of that renderer can't hide in both the plate
and the fit. Imports of this package are light; Embree and FLIP are loaded where they are used (extra ``evaluate``).
"""
