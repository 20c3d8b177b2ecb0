//! What there is in the schema, to be compared with what the migrations make.

use super::Postgres;
use crate::engine::schema::Objects;
use crate::fault::Fault;
use crate::value::Row;

/// Everything in the schema that we use: (name, the table it belongs to, what it says).
const OBJECTS: &str = "
    SELECT CAST(c.relname AS text), CAST(coalesce(t.relname, c.relname) AS text),
           concat_ws(' ', c.relkind,
               CASE c.relkind WHEN 'i' THEN pg_get_indexdef(c.oid)
                              WHEN 'v' THEN pg_get_viewdef(c.oid) END,
               (SELECT string_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod),
                                            a.attnotnull, pg_get_expr(d.adbin, d.adrelid)),
                                  ', ' ORDER BY a.attnum)
                FROM pg_attribute a
                LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
               (SELECT string_agg(concat_ws(' ', k.conname, pg_get_constraintdef(k.oid)),
                                  ', ' ORDER BY k.conname)
                FROM pg_constraint k WHERE k.conrelid = c.oid))
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = current_schema()
    LEFT JOIN pg_index i ON i.indexrelid = c.oid
    LEFT JOIN pg_depend o ON c.relkind = 'S' AND o.objid = c.oid AND o.deptype IN ('a', 'i')
    LEFT JOIN pg_class t ON t.oid = coalesce(i.indrelid, o.refobjid)
  UNION ALL
    SELECT CAST(g.tgname AS text), CAST(c.relname AS text), pg_get_triggerdef(g.oid)
    FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid AND NOT g.tgisinternal
    JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = current_schema()
  UNION ALL
    SELECT CAST(p.proname AS text), CAST(p.proname AS text), p.prosrc
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname = current_schema()";

impl Postgres {
    pub(in crate::engine) fn objects(&self) -> Result<Objects, Fault> {
        let rows = self.query(OBJECTS, &[])?;
        let object = |row: &Row| {
            Ok(((row.text(0)?.to_owned(), row.text(1)?.to_owned()), row.text(2)?.to_owned()))
        };
        rows.iter().map(object).collect()
    }
}
