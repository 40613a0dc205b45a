"""The doors: links, codes, birth date, BankID and HelseID."""
