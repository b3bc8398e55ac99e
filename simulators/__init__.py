"""Invented markets: closed-form processes with known answers, and a crowd of traders on a real order book."""
