//! Deciders: whether a disaggregated stage is worth running.

pub mod always_disagg_pd_decider;
pub mod prefix_based_pd_decider;
