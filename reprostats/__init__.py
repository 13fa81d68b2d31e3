"""Tell whether a deep-learning result is real.

The names below are loaded when they are first used, so that importing the package costs little
and never loads PyTorch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from reprostats.notebook_output import show_notes_in_full

if TYPE_CHECKING:
    from reprostats.importers import ImportedResults as ImportedResults
    from reprostats.importers import read_results as read_results
    from reprostats.learning.fingerprint import fingerprint as fingerprint
    from reprostats.portable_arithmetic.mode import portable as portable
    from reprostats.stats.agreement import cohen_kappa as cohen_kappa
    from reprostats.stats.agreement import fleiss_kappa as fleiss_kappa
    from reprostats.stats.agreement import gwet_ac1 as gwet_ac1
    from reprostats.stats.algorithms import compare_algorithms as compare_algorithms
    from reprostats.stats.anova import anova as anova
    from reprostats.stats.comparison import critical_difference as critical_difference
    from reprostats.stats.comparison import interquartile_mean as interquartile_mean
    from reprostats.stats.comparison import performance_profile as performance_profile
    from reprostats.stats.comparison import probability_of_improvement as probability_of_improvement
    from reprostats.stats.components import (
        gage_repeatability_reproducibility as gage_repeatability_reproducibility,
    )
    from reprostats.stats.components import variance_components as variance_components
    from reprostats.stats.concordance import lin_concordance as lin_concordance
    from reprostats.stats.equivalence import equivalence_test as equivalence_test
    from reprostats.stats.family import adjust_p_values as adjust_p_values
    from reprostats.stats.family import paired_comparisons as paired_comparisons
    from reprostats.stats.icc import icc as icc
    from reprostats.stats.icc_map import icc_map as icc_map
    from reprostats.stats.krippendorff import krippendorff_alpha as krippendorff_alpha
    from reprostats.stats.measurement import bland_altman as bland_altman
    from reprostats.stats.measurement import measurement_error as measurement_error
    from reprostats.stats.median import median_ci as median_ci
    from reprostats.stats.median import median_ci_size as median_ci_size
    from reprostats.stats.median import median_difference as median_difference
    from reprostats.stats.outperformance import pairs_for_outperforming as pairs_for_outperforming
    from reprostats.stats.outperformance import (
        probability_of_outperforming as probability_of_outperforming,
    )
    from reprostats.stats.paired import paired_ttest as paired_ttest
    from reprostats.stats.planning import cases_for_paired_power as cases_for_paired_power
    from reprostats.stats.planning import repeats_for_mean as repeats_for_mean
    from reprostats.stats.planning import repeats_for_median as repeats_for_median
    from reprostats.stats.planning import subjects_for_icc as subjects_for_icc
    from reprostats.stats.planning_comparison import ComparisonVariances as ComparisonVariances
    from reprostats.stats.planning_comparison import comparison_variances as comparison_variances
    from reprostats.stats.planning_comparison import plan_comparison as plan_comparison
    from reprostats.stats.planning_icc import plan_icc as plan_icc
    from reprostats.stats.proportion import wilson_interval as wilson_interval
    from reprostats.stats.pseudovalues import pseudovalues as pseudovalues
    from reprostats.stats.repeated import repeated_measures_anova as repeated_measures_anova
    from reprostats.stats.repeated import sphericity as sphericity
    from reprostats.stats.sequential import confidence_sequence as confidence_sequence
    from reprostats.stats.sequential import two_stage_interval as two_stage_interval
    from reprostats.stats.signed_rank import hodges_lehmann as hodges_lehmann
    from reprostats.stats.signed_rank import wilcoxon_test as wilcoxon_test
    from reprostats.stats.stochastic_order import almost_stochastic_order as almost_stochastic_order
    from reprostats.stats.unpaired import unpaired_ttest as unpaired_ttest
    from reprostats.study.plan import Condition as Condition
    from reprostats.study.study import Study as Study
    from reprostats.study.trial import Trial as Trial
    from reprostats.verdicts.fixed_width import FixedWidthInterval as FixedWidthInterval
    from reprostats.verdicts.reliability import reliability as reliability
    from reprostats.verdicts.report import Report as Report
    from reprostats.verdicts.report import verdict as verdict
    from reprostats.verdicts.sequential import SequentialComparison as SequentialComparison

__version__ = "0.1.0"

_HOMES = {
    "Condition": "reprostats.study.plan",
    "FixedWidthInterval": "reprostats.verdicts.fixed_width",
    "ImportedResults": "reprostats.importers",
    "Report": "reprostats.verdicts.report",
    "SequentialComparison": "reprostats.verdicts.sequential",
    "Study": "reprostats.study.study",
    "Trial": "reprostats.study.trial",
    "adjust_p_values": "reprostats.stats.family",
    "almost_stochastic_order": "reprostats.stats.stochastic_order",
    "anova": "reprostats.stats.anova",
    "bland_altman": "reprostats.stats.measurement",
    "ComparisonVariances": "reprostats.stats.planning_comparison",
    "cases_for_paired_power": "reprostats.stats.planning",
    "cohen_kappa": "reprostats.stats.agreement",
    "compare_algorithms": "reprostats.stats.algorithms",
    "comparison_variances": "reprostats.stats.planning_comparison",
    "confidence_sequence": "reprostats.stats.sequential",
    "critical_difference": "reprostats.stats.comparison",
    "equivalence_test": "reprostats.stats.equivalence",
    "fingerprint": "reprostats.learning.fingerprint",
    "fleiss_kappa": "reprostats.stats.agreement",
    "gage_repeatability_reproducibility": "reprostats.stats.components",
    "gwet_ac1": "reprostats.stats.agreement",
    "hodges_lehmann": "reprostats.stats.signed_rank",
    "icc": "reprostats.stats.icc",
    "icc_map": "reprostats.stats.icc_map",
    "interquartile_mean": "reprostats.stats.comparison",
    "krippendorff_alpha": "reprostats.stats.krippendorff",
    "lin_concordance": "reprostats.stats.concordance",
    "measurement_error": "reprostats.stats.measurement",
    "median_ci": "reprostats.stats.median",
    "median_ci_size": "reprostats.stats.median",
    "median_difference": "reprostats.stats.median",
    "paired_comparisons": "reprostats.stats.family",
    "paired_ttest": "reprostats.stats.paired",
    "pairs_for_outperforming": "reprostats.stats.outperformance",
    "performance_profile": "reprostats.stats.comparison",
    "plan_comparison": "reprostats.stats.planning_comparison",
    "plan_icc": "reprostats.stats.planning_icc",
    "portable": "reprostats.portable_arithmetic.mode",
    "probability_of_improvement": "reprostats.stats.comparison",
    "probability_of_outperforming": "reprostats.stats.outperformance",
    "pseudovalues": "reprostats.stats.pseudovalues",
    "read_results": "reprostats.importers",
    "reliability": "reprostats.verdicts.reliability",
    "repeated_measures_anova": "reprostats.stats.repeated",
    "repeats_for_mean": "reprostats.stats.planning",
    "repeats_for_median": "reprostats.stats.planning",
    "sphericity": "reprostats.stats.repeated",
    "subjects_for_icc": "reprostats.stats.planning",
    "two_stage_interval": "reprostats.stats.sequential",
    "unpaired_ttest": "reprostats.stats.unpaired",
    "variance_components": "reprostats.stats.components",
    "verdict": "reprostats.verdicts.report",
    "wilcoxon_test": "reprostats.stats.signed_rank",
    "wilson_interval": "reprostats.stats.proportion",
}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604 - the names are those of _HOMES


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


show_notes_in_full()
