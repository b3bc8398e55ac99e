"""The mind: trainers, baseline rules, and the passport with which a policy leaves the trainer."""
