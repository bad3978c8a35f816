-- A store as the first version wrote it.
BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE leases (
	site TEXT NOT NULL, 
	token INTEGER NOT NULL, 
	holder TEXT NOT NULL, 
	run INTEGER NOT NULL, 
	since FLOAT NOT NULL, 
	until FLOAT NOT NULL, 
	PRIMARY KEY (site)
);
INSERT INTO "leases" VALUES('s',1,'',1,1000.0,0.0);
CREATE TABLE logs (
	step INTEGER NOT NULL, 
	text TEXT NOT NULL, 
	PRIMARY KEY (step), 
	FOREIGN KEY(step) REFERENCES steps (step) ON DELETE CASCADE
);
INSERT INTO "logs" VALUES(1,'the log');
CREATE TABLE outputs (
	site TEXT NOT NULL, 
	placement TEXT NOT NULL, 
	"values" JSON NOT NULL, 
	PRIMARY KEY (site, placement)
);
INSERT INTO "outputs" VALUES('s','shop','{"url": "http://10.0.0.1"}');
CREATE TABLE places (
	site TEXT NOT NULL, 
	data JSON NOT NULL, 
	PRIMARY KEY (site)
);
INSERT INTO "places" VALUES('s','{"a": 1}');
CREATE TABLE records (
	address TEXT NOT NULL, 
	site TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	identity TEXT NOT NULL, 
	inputs JSON NOT NULL, 
	facts JSON NOT NULL, 
	spec JSON NOT NULL, 
	uid TEXT NOT NULL, 
	blueprint TEXT NOT NULL, 
	protected TEXT NOT NULL, 
	run INTEGER NOT NULL, 
	seen_at FLOAT NOT NULL, 
	PRIMARY KEY (address)
);
INSERT INTO "records" VALUES('s/shop/agile/web/Deployment.apps/web/web','s','d1','i','{}','{"address": "10.0.0.1"}','{}','','','',0,0.0);
CREATE TABLE runs (
	run INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	kind TEXT NOT NULL, 
	started FLOAT NOT NULL, 
	ended FLOAT, 
	result TEXT NOT NULL, 
	counts JSON NOT NULL, 
	planned JSON NOT NULL
);
INSERT INTO "runs" VALUES(1,'apply',1000.0,1000.0,'done','{"done": 1}','{"savedPlan": 1, "estate": {"name": "acme", "id": "id-1"}, "scope": {"sites": null, "placements": null, "modes": null, "targets": null}, "changes": [{"address": "s/shop/agile/web/Deployment.apps/web/web", "action": "update", "wave": 1, "reason": "drifted: spec.replicas 3 \u2192 7 (kubectl)", "fingerprint": "087ff05052a2caa2b0abc82367cf02eb"}]}');
CREATE TABLE steps (
	step INTEGER NOT NULL, 
	run INTEGER NOT NULL, 
	address TEXT NOT NULL, 
	site TEXT NOT NULL, 
	action TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	wave INTEGER NOT NULL, 
	started FLOAT NOT NULL, 
	ended FLOAT, 
	result TEXT NOT NULL, 
	message TEXT NOT NULL, 
	task TEXT NOT NULL, 
	place TEXT NOT NULL, 
	PRIMARY KEY (step), 
	FOREIGN KEY(run) REFERENCES runs (run) ON DELETE CASCADE
);
INSERT INTO "steps" VALUES(1,1,'s/shop/agile/web/Deployment.apps/web/web','s','update','drifted: spec.replicas 3 → 7 (kubectl)',1,1000.0,1000.0,'done','','','');
CREATE INDEX records_site ON records (site);
CREATE INDEX steps_run ON steps (run);
CREATE INDEX steps_site ON steps (site, run);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('runs',1);
COMMIT;
