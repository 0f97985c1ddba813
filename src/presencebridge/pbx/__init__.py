"""3CX: how its bridges and APIs are asked and understood. Knows nothing of people, rules or Teams."""
