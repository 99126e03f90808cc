// What a dashboard is as JSON: Grafana's type, with the values of its enums in place of their names.

import type { Dashboard } from "@grafana/schema";

type Written<T> = T extends string ? `${T}` : T extends object ? { [Key in keyof T]: Written<T[Key]> } : T;

export type AsJson = Written<Dashboard>;
