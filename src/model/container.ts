/** How people know a container: by its id, and by the names in its engine's annotations (null where there is none). */
export interface ContainerLabels {
  readonly id: string;
  readonly pod: string | null;
  readonly podNamespace: string | null;
  readonly container: string | null;
}

/** Namespace, pod and container as far as known: 'default/web/nginx'. '' if only the id is known. */
export function containerTitle({ pod, podNamespace, container }: ContainerLabels): string {
  return [podNamespace, pod, container].filter((part) => part !== null).join('/');
}
