"""Quality beside speed: lips by steps, by precision, and at the official size."""
