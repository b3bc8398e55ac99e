"""Exams with known answers: each lets a trainer learn, and judges the frozen policy on markets that it has not seen."""
