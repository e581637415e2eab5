"""The database itself refuses to change or remove audit events and their seals, and to move the chain's head back."""

from django.db import migrations

REFUSE = """
CREATE FUNCTION llmops_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% refuses %: the audit trail is append-only.', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER audit_event_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON core_auditevent
    FOR EACH STATEMENT EXECUTE FUNCTION llmops_append_only();
CREATE TRIGGER audit_seal_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON governance_auditseal
    FOR EACH STATEMENT EXECUTE FUNCTION llmops_append_only();
CREATE TRIGGER audit_head_stays BEFORE DELETE OR TRUNCATE ON governance_auditchainhead
    FOR EACH STATEMENT EXECUTE FUNCTION llmops_append_only();

CREATE FUNCTION llmops_chain_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.position <= OLD.position OR NEW.id <> OLD.id THEN
        RAISE EXCEPTION 'The head of the audit chain only moves forward (% to %).', OLD.position, NEW.position
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER audit_head_forward BEFORE UPDATE ON governance_auditchainhead
    FOR EACH ROW EXECUTE FUNCTION llmops_chain_forward();
"""

ALLOW = """
DROP TRIGGER audit_head_forward ON governance_auditchainhead;
DROP TRIGGER audit_head_stays ON governance_auditchainhead;
DROP TRIGGER audit_seal_append_only ON governance_auditseal;
DROP TRIGGER audit_event_append_only ON core_auditevent;
DROP FUNCTION llmops_chain_forward();
DROP FUNCTION llmops_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("governance", "0001_initial"), ("core", "0001_initial")]

    operations = [migrations.RunSQL(REFUSE, ALLOW)]
