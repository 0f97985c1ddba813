"""Microsoft Graph: calls as values, notifications, subscriptions, sign-in. Knows nothing of rules or 3CX."""
